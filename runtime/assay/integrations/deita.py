"""DEITA: a scorer of complexity in the place of Llama_Scorer and Mistral_Scorer. deita itself is not imported."""

from typing import NoReturn, Unpack

from assay.errors import AssayError, BundleError, InputError
from assay.inputs.validation import check_flag
from assay.load_options import Options
from assay.loading import load_scorer

__all__ = ["Scorer"]


class Scorer:
    """The interface of deita.selection.scorer.base.Scorer over a bundle with an Evol-Complexity scale.

    deita answers 3.0 where its model's first token is no score. Here every text has a score or raises an error.
    """

    def __init__(
        self,
        model_name_or_path: str,
        is_vllm: bool | None = False,
        *,
        truncate: bool = False,
        **options: Unpack[Options],
    ) -> None:
        """Load the bundle.

        Args:
            model_name_or_path: A folder or a name on the Hub.
            is_vllm: As deita passes it; nothing but False and None is possible.
            truncate: Cut texts that the bundle would refuse as too long.
            options: Those of assay.load.

        Raises:
            InputError: is_vllm is true, an option is wrong, or the bundle classifies.
            BundleError: There is no such bundle, or it has no Evol-Complexity scale.
        """
        if is_vllm:
            raise InputError("is_vllm is True, expected False: a bundle runs in ONNX Runtime")
        self._truncate = check_flag(truncate, "truncate")
        self.model = load_scorer(model_name_or_path, **options)
        scale = self.model.manifest.scale
        if scale is None or scale.evol_complexity is None:
            raise BundleError(
                f"{model_name_or_path}: has no Evol-Complexity scale, expected a bundle of a complexity scorer such as "
                "Maxwell; use assay.load_scorer(...).score()"
            )
        self._limits = scale.evol_complexity

    def infer_complexity(self, input_text: str) -> float:
        """Return the complexity of an instruction, from 1 to 6 and not rounded, as deita's expected score is.

        Raises:
            InputError: It is not a text, or longer than the model reads.
            NumericalError: The score is NaN or infinite.
        """
        return self.model.score(input_text, scale=self._limits, truncate=self._truncate)

    def infer_quality(self, input_text: str, resp_text: str) -> NoReturn:  # noqa: ARG002
        """Raise AssayError: the quality of a response is another model's answer."""
        raise AssayError(
            f"infer_quality: {self.model.manifest.name} scores the complexity of instructions, not the quality of "
            "responses; use deita's own quality scorer for score_type quality"
        )

    def infer_score(self, user_input: str) -> NoReturn:  # noqa: ARG002
        """Raise AssayError: deita's prompts are for its own models; a bundle reads the instruction itself."""
        raise AssayError(
            "infer_score: takes a prompt of deita's own models; call infer_complexity with the instruction"
        )
