"""Short forms of the durability campaigns (tests/campaign): kills, power cuts, crash images, failing system calls, full disks, damage."""
from campaign import crash_images
from campaign import cuts as power
from campaign import kills as storms
from harness.core import limit


@limit(180)
def test_kill_storm(world):
    print(storms.storm(world, 100))


@limit(240)
def test_power_cuts(world):
    print(power.cuts(world, 20))


@limit(400)
def test_crash_images(world):
    print(crash_images.images(world, 5000))
