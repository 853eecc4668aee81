"""The tables of docs/table.md, as people have them: text, dates, missing values, and a wrong row each.

    python docs/tables/make.py          # writes them beside this file; the same bytes each time
"""
import argparse
import csv
import math
import random
from datetime import date, timedelta
from pathlib import Path

STREETS = ("Elm Street", "Mill Lane", "Station Road", "Church Walk", "Park Avenue", "Bridge Street")
FIRST = ("Ada", "Ben", "Chloe", "Dan", "Eva", "Finn", "Grace", "Hugo", "Ida", "Jon", "Kim", "Leo", "Mia", "Noah")
LAST = ("Adams", "Baker", "Clark", "Dunn", "Ellis", "Ford", "Gray", "Hall", "Irwin", "Jones", "King", "Lane", "Moss")
HEATING = {"gas": 0, "district": 12, "electric": -18, "wood": -5}
BEANS = {"dry": (11.8, 7.4, 0.36), "soft": (13.4, 8.1, 0.47), "round": (10.6, 8.6, 0.45)}


def houses(rng, count):
    """price, in thousands: mostly of the area, with the square of the age, the heating, the garden and the year."""
    rows = []
    for _ in range(count):
        area, built = round(rng.gauss(110, 35)) % 200 + 30, rng.randint(1900, 2020)
        heating, garden = rng.choice(list(HEATING)), rng.random() < 0.5
        sold = date(2019, 1, 1) + timedelta(rng.randrange(5 * 365))
        price = (40 + 2.1 * area + 0.025 * (built - 1950) ** 2 + HEATING[heating] + (0.25 * area if garden else 0)
                 + 9 * (sold.year - 2019) + rng.gauss(0, 9))
        rows.append({"address": f"{rng.randint(1, 199)} {rng.choice(STREETS)}",
                     "area": "" if rng.random() < 0.04 else area, "rooms": max(1, round(area / 28 + rng.gauss(0, 0.6))),
                     "built": built, "heating": "NA" if rng.random() < 0.05 else heating,
                     "garden": "yes" if garden else "no", "sold": sold.isoformat(), "price": round(price, 1)})
    return rows


def customers(rng, count):
    """churned: of those who complain often, or use far less or more than their plan has; not of families."""
    rows = []
    for _ in range(count):
        plan, minutes = rng.choice(["basic", "plus", "family"]), round(rng.expovariate(1 / 220))
        calls, since = min(9, int(rng.expovariate(0.6))), date(2015, 1, 1) + timedelta(rng.randrange(3200))
        years = (date(2024, 1, 1) - since).days / 365
        tendency = (0.7 * calls + min(abs(minutes - {"basic": 60, "plus": 250, "family": 400}[plan]), 250) / 45
                    - 0.15 * years - (0.8 if plan == "family" else 0) - 2.2)
        churned = rng.random() < 1 / (1 + math.exp(-1.8 * tendency))
        rows.append({"name": f"{rng.choice(FIRST)} {rng.choice(LAST)}", "plan": plan,
                     "since": since.strftime("%d.%m.%Y"), "minutes": "" if rng.random() < 0.06 else minutes,
                     "complaints": calls, "paperless": rng.choice(["true", "false"]),
                     "churned": "yes" if churned else "no"})
    return rows


def beans(rng, count):
    """variety: by the length, the width and the weight, of which the light ones lose some in the sun."""
    rows = []
    for i in range(count):
        variety = rng.choice(list(BEANS))
        length, width, weight = (value * (1 + rng.gauss(0, 0.07)) for value in BEANS[variety])
        rows.append({"sample": f"B-{i + 1:03d}", "field": rng.choice(["north", "south", "river"]),
                     "length": comma(length, 2), "width": comma(width, 2),
                     "weight": "?" if rng.random() < 0.05 else comma(weight, 3), "variety": variety})
    return rows


def comma(number, digits):
    """With a decimal comma."""
    return f"{number:.{digits}f}".replace(".", ",")


def write(path, rows, separator=",", without=(), short=None):
    """As CSV; short : the row whose last field is not there."""
    names = [name for name in rows[0] if name not in without]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator, lineterminator="\n")
        writer.writerow(names)
        for i, row in enumerate(rows):
            fields = [row[name] for name in names]
            writer.writerow(fields[:-1] if i == short else fields)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    out = parser.parse_args().out
    sold, members = houses(random.Random(1), 406), customers(random.Random(2), 606)
    harvest = beans(random.Random(3), 336)
    sold[16]["area"] = "ca. 80"
    harvest[41]["width"] = "8,2O"  # a letter
    write(out / "houses.csv", sold[:400])
    sold[402]["heating"] = "solar"
    write(out / "houses-new.csv", sold[400:], without=["price"])
    write(out / "customers.csv", members[:600], short=87)
    write(out / "customers-new.csv", members[600:], without=["churned"])
    write(out / "beans.csv", harvest[:300], separator=";")
    write(out / "beans-new.csv", harvest[300:], separator=";")


if __name__ == "__main__":
    main()
