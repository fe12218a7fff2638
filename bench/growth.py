"""How something grows with n: the exponent of the power law that fits best, by least squares on the logarithms. 0 is constant, 1 is in proportion."""
import math

POINTS_MIN = 3  # two points fit any power law


def exponent(points):
    """Of (n, value); None when there are too few that have a logarithm. What n = 0 gives is no point of a power law."""
    logs = [(math.log(n), math.log(value)) for n, value in points if n > 0 and value > 0]
    if len({x for x, _ in logs}) < POINTS_MIN:
        return None
    x_mean, y_mean = (sum(values) / len(logs) for values in zip(*logs))
    return sum((x - x_mean) * (y - y_mean) for x, y in logs) / sum((x - x_mean) ** 2 for x, _ in logs)
