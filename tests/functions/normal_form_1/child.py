"""What another Python is asked for: the normal forms of sources given as JSON."""

SCRIPT = """
import base64, json, sys
from holdfast.errors import HoldfastError
from holdfast.functions.normal_form_1 import denormalize_1, hash_1, normalize_1

answers = []
for source in json.load(sys.stdin):
    try:
        got = normalize_1(base64.b64decode(source))
        answer = {
            "hash": got.hash,
            "normalized_code": got.normalized_code,
            "name_mapping": got.name_mapping,
            "alias_mapping": got.alias_mapping,
            "docstring": got.docstring,
            "stored_hash": hash_1(got.normalized_code),
        }
    except HoldfastError as error:
        answer = {"refused": type(error).__name__}
    else:
        try:
            answer["shown"] = denormalize_1(
                got.normalized_code, got.name_mapping, got.alias_mapping, got.docstring
            )
        except HoldfastError as error:
            answer["shown"] = type(error).__name__
    answers.append(answer)
json.dump(answers, sys.stdout)
"""
