"""A failing job says its cause, not the twelve exceptions that Java wraps around it."""

from usher.run import cause


class Thrown:
    """As much of a Java exception as is asked."""

    def __init__(self, message: str | None, because: "Thrown | None" = None) -> None:
        self.message, self.because = message, because

    def getMessage(self) -> str | None:
        return self.message

    def getCause(self) -> "Thrown | None":
        return self.because

    def toString(self) -> str:
        return "java.lang.NullPointerException"


def test_the_deepest_message() -> None:
    index = Thrown("Elasticsearch at http://es:9200, index 'profiles', has no such index")
    assert cause(Thrown("Job execution failed.", Thrown("Recovery is suppressed", index))) == index.message
    assert cause(Thrown("Job execution failed.", Thrown(None))) == "java.lang.NullPointerException"
