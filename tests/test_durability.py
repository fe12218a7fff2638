"""Short forms of the durability campaigns (tests/campaign): kills, power cuts, crash images, failing system calls, full disks, damage."""
from campaign import crash_images
from campaign import cuts as power
from campaign import kills as storms
from harness import mail
from harness.core import limit, wait_for
from harness.smtp import Client


@limit(180)
def test_kill_storm(world):
    print(storms.storm(world, 100))


@limit(240)
def test_power_cuts(world):
    print(power.cuts(world, 20))


@limit(400)
def test_crash_images(world):
    print(crash_images.images(world, 5000))


@limit(90)
def test_starts_within_a_second(world):
    """Numbers of transactions are not used again by the next start: the queue would take new mail for a repetition of what it has."""
    mta = world.mtad(queue="retry 1d; expire 5d")
    taken = {}
    for number in range(24):
        code, text = Client().send("sender@from.example", "rcpt@to.example", mail.message(number))
        assert code == 250, text
        taken[number] = text.split()[-1]
        mta.kill()
        mta.start()
    assert len(set(taken.values())) == len(taken), "an id was given twice"
    assert mta.count()["messages"] == len(taken), mta.count()
