"""Short forms of the durability campaigns (tests/campaign): kills, power cuts, crash images, failing system calls, full disks, damage."""
from campaign import crash_images, damage, faults, weather
from campaign import cuts as power
from campaign import kills as storms
from harness import mail
from harness.core import limit
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


@limit(900)
def test_failing_calls(world):
    """Each call site of the manager that asks the kernel or the allocator for something, one after the other; tests/campaign/run sweep has every error."""
    print(faults.every_call_site(world))


@limit(120)
def test_full_disk_under_load(world):
    print(weather.full_disk(world))


@limit(120)
def test_jumping_clock(world):
    print(weather.clock_jumps(world))


@limit(120)
def test_damaged_octets(world):
    print(damage.flips(world, 300))


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
