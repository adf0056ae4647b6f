from collections import Counter

from assay.annotate.report.bins import EXAMPLES, Example, make_lengths, make_named, make_ranges


def example(number: int) -> Example:
    return Example(str(number), (), ())


def test_numbers_are_counted_in_their_range_and_those_beyond_in_the_first_or_the_last() -> None:
    bins = make_ranges("score", 0, 1, 4)
    for value in (-0.5, 0.0, 0.24, 0.25, 0.5, 1.0, 1.5):
        bins.add_number(value, None)
    assert [(each.name, each.count) for each in bins.bins] == [
        ("0 to 0.25", 3),
        ("0.25 to 0.5", 1),
        ("0.5 to 0.75", 1),
        ("0.75 to 1", 2),
    ]
    one = make_ranges("score", 2, 2, 4)
    one.add_number(2, None)
    assert [(each.name, each.count) for each in one.bins] == [("2", 1)]


def test_every_length_is_in_the_range_of_its_name() -> None:
    for length in (0, 1, 2, 3, 4, 7, 8, 1 << 22, (1 << 23) - 1, 1 << 23, 1 << 30):
        bins = make_lengths("lengths")
        bins.add_number(length, None)
        (name,) = [each.name for each in bins.bins if each.count]
        low, _, high = name.replace(",", "").removesuffix(" and more").partition(" to ")
        assert int(low) <= length
        assert length <= int(high or low) or name == "8,388,608 and more"


def test_a_bin_keeps_few_examples_each_row_as_likely_as_any_other() -> None:
    found: Counter[str] = Counter()
    bins = make_named("label", [str(name) for name in range(2_000)])
    for name in range(2_000):
        for row in range(10):
            bins.add_name(str(name), example(row))
    for each in bins.bins:
        assert len({kept.where for kept in each.examples}) == len(each.examples) == EXAMPLES
        found.update(kept.where for kept in each.examples)
    assert all(500 < found[str(row)] < 700 for row in range(10)), found  # 600 expected


def test_the_same_rows_give_the_same_examples_and_new_names_a_bin() -> None:
    kept = []
    for _ in range(2):
        bins = make_named("label", ["a"])
        for row in range(100):
            bins.add_name("ab"[row % 2], example(row))
        kept.append([(each.name, each.count, each.examples) for each in bins.bins])
    assert kept[0] == kept[1]
    assert [(name, count) for name, count, _ in kept[0]] == [("a", 50), ("b", 50)]
