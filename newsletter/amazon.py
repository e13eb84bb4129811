"""What boto3's errors mean for a message; Anymail hands them on as they are, without a status."""

import re
from collections.abc import Mapping

from anymail.exceptions import AnymailAPIError

# By name, since boto3 is there only where it is used: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
PASSING = {"TooManyRequestsException", "ThrottlingException", "Throttling", "LimitExceededException"}
OURS = {
    *("AccountSuspendedException", "SendingPausedException"),
    *("MailFromDomainNotVerifiedException", "NotFoundException"),
}
# An identity that is not verified is ours, or everybody's while the account is in the sandbox.
NAMES_US = re.compile(r"not verified|authority to send|identit|configuration set", re.IGNORECASE)
NOT_SENT = {"EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError", "SSLError"}
WRONG_SETTINGS = {
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError"),
    *("NoRegionError", "UnauthorizedSSOTokenError", "ProfileNotFound", "InvalidConfigError"),
}


def status_and_words(error: BaseException) -> tuple[int, str] | None:
    """Return an HTTP status that says what boto3's error says, and Amazon's words; None for another error.

    Where boto3 got no answer: 503 for what was not sent, 401 for settings that lack something, and 500
    for what may have been.
    """
    cause = error.__cause__
    if not isinstance(error, AnymailAPIError) or not type(cause).__module__.startswith("botocore"):
        return None
    response = getattr(cause, "response", None)
    if isinstance(response, Mapping):
        return _of_answer(response)
    name = type(cause).__name__
    return 503 if name in NOT_SENT else 401 if name in WRONG_SETTINGS else 500, str(cause)


def never_connected(error: BaseException) -> bool:
    return type(error.__cause__).__name__ in NOT_SENT


def _of_answer(response: Mapping[str, Mapping[str, object]]) -> tuple[int, str]:
    said, meta = response.get("Error", {}), response.get("ResponseMetadata", {})
    code, words, status = str(said.get("Code", "")), str(said.get("Message", "")), meta.get("HTTPStatusCode", 500)
    if code in PASSING:
        return 429, words
    if code in OURS or NAMES_US.search(words):
        return 403, words
    return (status if isinstance(status, int) else 500), words
