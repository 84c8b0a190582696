"""Transform a SAM template as CloudFormation does.

The Python of aws-sam-cli runs this file, because aws-sam-cli includes the transform.  It reads
``{"template": ..., "parameters": ...}`` and writes the transformed ``template``, and the ``architectures`` of
the functions as `sam build` reads them.
"""

from __future__ import annotations

import copy
import json
import sys

from samcli.lib.providers.provider import Stack
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator


def main() -> None:
    given = json.load(sys.stdin)
    stack = Stack("", "", "template.yaml", given["parameters"], copy.deepcopy(given["template"]))
    functions = SamFunctionProvider([stack], ignore_code_extraction_warnings=True).get_all()
    transformed = Translator({}, Parser()).translate(given["template"], given["parameters"])
    platforms = {function.name: function.architecture for function in functions}
    json.dump({"template": transformed, "architectures": platforms}, sys.stdout)


if __name__ == "__main__":
    main()
