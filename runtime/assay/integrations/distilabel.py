"""distilabel: a step that adds the answers of a bundle to every row."""

from collections.abc import Iterator
from typing import Any

from assay.integrations.annotation import Annotation, check_columns, pin, take_fields
from assay.optional_packages import require

__all__ = ["Annotator"]

require("distilabel.steps", "distilabel", "assay.integrations.distilabel")

from distilabel.steps import Step, StepInput  # noqa: E402  # after the message for where it is missing


class Annotator(Step):
    """A step that reads one column, `text`, or two, `pair`, and adds the columns of a bundle's answers.

    Attributes:
        bundle: A folder or a name on the Hub.
        text: The column to read, for a bundle of texts.
        pair: The two columns to read, for a bundle of pairs.
        options: The attributes of assay.integrations.annotation.Annotation (columns, scale, threshold, on_error,
            truncate), then the options of assay.load. A name on the Hub gets the commit that it has when the step is
            made.
    """

    bundle: str
    text: str | None = None
    pair: tuple[str, str] | None = None
    options: dict[str, Any] = {}  # noqa: RUF012  # pydantic copies it

    def model_post_init(self, context: Any) -> None:
        """Pin the bundle and check the options, before anything of the pipeline runs."""
        path, given, manifest = pin(self.bundle, self.options)
        Annotation.of(path, given).name_columns(manifest)
        take_fields({"text": self.text, "pair": self.pair})
        self.bundle, self.options = path, given
        super().model_post_init(context)

    @property
    def inputs(self) -> list[str]:
        """The columns that are read."""
        return list(take_fields({"text": self.text, "pair": self.pair}))

    @property
    def outputs(self) -> list[str]:
        """The columns that are added."""
        return list(self._open()[1])

    def process(self, inputs: StepInput) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows with the new columns. Raises InputError, with the row's place in this batch."""
        annotation, names = self._open()
        read = self.inputs
        for row in inputs:
            check_columns(list(row), names, read)
        answers = annotation.answer(*([row[name] for row in inputs] for name in read))
        yield [row | {name: answers[name][index] for name in names} for index, row in enumerate(inputs)]

    def _open(self) -> tuple[Annotation, tuple[str, ...]]:
        path, given, manifest = pin(self.bundle, self.options)
        annotation = Annotation.of(path, given)
        return annotation, annotation.name_columns(manifest)
