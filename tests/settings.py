"""Settings of the tests: the embedded default, whatever the developer's environment says.

A service's address is dropped before the settings are read, so that no test can queue to a real
broker or mail a real person. Tests that need a service start processes with addresses of their own.
"""

import os
import re
import tempfile
from pathlib import Path

_OURS = re.findall(r"^#? ?([A-Z_]+)=", (Path(__file__).parent.parent / ".env.example").read_text(), re.MULTILINE)
for _name in [*_OURS, *(name for name in os.environ if name.startswith("ANYMAIL_"))]:
    os.environ.pop(_name, None)
os.environ["ENV_FILE"] = os.devnull
_folder = tempfile.TemporaryDirectory(prefix="paperboy-test-")  # removed when the process ends
os.environ["VAR_DIR"] = _folder.name
os.environ["ADDRESS_HASH_KEY"] = "only-for-tests"
os.environ["POSTAL_ADDRESS"] = "1 Test Street, Testville"
os.environ["LOG_LEVEL"] = "WARNING"
os.environ["SOURCES"] = "huggingface"  # a tick in a test asks the one source that the test serves

from newsletter.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
AXES_ENABLED = False
