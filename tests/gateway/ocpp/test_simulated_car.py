"""The battery and power curve of the simulated car."""

import pytest

from gateway.ocpp.simulated_car import SimulatedCar, taper


def test_power_is_full_up_to_80_percent_and_falls_to_a_tenth() -> None:
    assert [taper(soc) for soc in (0, 50, 80)] == [1, 1, 1]
    assert taper(90) == pytest.approx(0.55)
    assert taper(100) == pytest.approx(0.1)


def test_an_hour_at_full_power_gives_its_kilowatt_hours() -> None:
    car = SimulatedCar(max_power_w=7_400, battery_wh=60_000, soc_percent=30, noise=0)
    assert car.charge(3600) == pytest.approx(7_400)
    assert car.soc_percent == pytest.approx(30 + 100 * 7_400 / 60_000)


def test_noise_lowers_the_power_by_no_more_than_its_share() -> None:
    car = SimulatedCar(max_power_w=10_000, noise=0.05, seed="x")
    powers = []
    for _ in range(50):
        powers.append(car.power_w)
        car.charge(10)
    assert all(9_500 <= power <= 10_000 for power in powers)
    assert len(set(powers)) > 10


def test_energy_does_not_depend_on_how_often_one_looks() -> None:
    at_once, often = SimulatedCar(seed=7, soc_percent=70), SimulatedCar(seed=7, soc_percent=70)
    total_wh = sum(often.charge(1.7) for _ in range(5_000))
    assert at_once.charge(1.7 * 5_000) == pytest.approx(total_wh)


def test_same_seed_same_car_other_seed_other_car() -> None:
    one, same, other = (SimulatedCar(seed=seed) for seed in ("a", "a", "b"))
    assert one.charge(600) == same.charge(600) != other.charge(600)


def test_a_full_car_takes_nothing_and_never_more_than_its_battery() -> None:
    car = SimulatedCar(battery_wh=1_000, soc_percent=90)
    assert car.charge(24 * 3600) == pytest.approx(100, abs=0.2)
    assert car.full
    assert car.power_w == 0
    assert car.charge(3600) == 0


def test_the_last_fifth_takes_longer_than_the_one_before() -> None:
    def seconds_for(soc_from: float, soc_to: float) -> int:
        car, seconds = SimulatedCar(soc_percent=soc_from, noise=0), 0
        while car.soc_percent < soc_to:
            car.charge(60)
            seconds += 60
        return seconds

    assert seconds_for(80, 99.9) > 2 * seconds_for(60, 80)


@pytest.mark.parametrize(
    "wrong", [{"battery_wh": 0}, {"soc_percent": 101}, {"soc_percent": -1}, {"noise": 1}, {"max_power_w": -1}]
)
def test_impossible_cars_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="needed"):
        SimulatedCar(**wrong)  # type: ignore[arg-type]
