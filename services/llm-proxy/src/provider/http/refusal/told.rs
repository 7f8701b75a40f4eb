use serde_json::Value;

/// What a message says that speaks of a request too long for the model, or for any minute: OpenAI and vLLM, Anthropic
/// (twice), llama.cpp, Google, and a limit of tokens that one request alone is past.
const TOO_LONG: [&str; 7] = [
    "maximum context length",
    "prompt is too long",
    "exceed context limit",
    "exceeds the available context size",
    "exceeds the maximum number of tokens",
    "exceeds the context window",
    "Request too large for",
];

/// What a provider said of an error, in whichever shape. A shape that nobody knows says nothing, and is no failure of its own.
#[derive(Debug, Default)]
pub(super) struct Told {
    message: Option<String>,
    code: Option<String>,
    kind: Option<String>,
    field: Option<String>,
    status: Option<u16>,
    page: bool,
    /// It says what of the content it stumbles over.
    flagged: bool,
}

impl Told {
    /// Reads an error's body: an object `error` with its details (OpenAI, Anthropic, Azure, most others), a text `error`
    /// (Ollama), the details themselves (older vLLM, Mistral), `detail` (FastAPI), or no JSON.
    pub(super) fn read(body: &[u8]) -> Self {
        match serde_json::from_slice(body) {
            Ok(Value::Object(body)) => Self::of(&Value::Object(body)),
            Ok(_) => Self::default(),
            Err(_) => {
                let text = String::from_utf8_lossy(body);
                let (text, page) = (text.trim(), text.trim_start().starts_with('<'));
                Self { message: (!page && !text.is_empty()).then(|| text.to_owned()), page, ..Self::default() }
            }
        }
    }

    /// The same where an answer was expected: `None` where this speaks of no error.
    pub(super) fn read_said(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let error = body.get("error").is_some_and(|error| !error.is_null());
        let marked = ["object", "type"].iter().any(|name| body.get(name).is_some_and(|value| value == "error"));
        (error || marked || body.get("detail").is_some()).then(|| Self::of(&body))
    }

    fn of(body: &Value) -> Self {
        let error = body.get("error").filter(|error| error.is_object()).unwrap_or(body);
        let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
        let message = text("message")
            .or_else(|| body.get("error")?.as_str().map(str::to_owned))
            .or_else(|| text("detail"))
            .or_else(|| error.get("detail")?.get(0)?.get("msg")?.as_str().map(str::to_owned));
        let status = ["code", "status_code", "status", "http_status"].iter().find_map(|name| {
            let value = error.get(name)?;
            let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
            u16::try_from(number).ok().filter(|status| (400..=599).contains(status))
        });
        // OpenRouter's moderation.
        let metadata = error.get("metadata");
        let flagged = ["reasons", "flagged_input"].iter().any(|name| metadata.is_some_and(|it| it.get(name).is_some()));
        Self { message, code: text("code"), kind: text("type"), field: text("param"), status, page: false, flagged }
    }

    /// The status in the body, where it has one.
    pub(super) fn status(&self) -> Option<u16> {
        self.status
    }

    /// Whether it is no answer of an interface but a page for people.
    pub(super) fn is_page(&self) -> bool {
        self.page
    }

    /// Whether it says what of the content may not pass.
    pub(super) fn is_flagged(&self) -> bool {
        self.flagged
    }

    /// Whether its code or type is one of these.
    pub(super) fn is_any_of(&self, names: &[&str]) -> bool {
        let said = [&self.code, &self.kind].into_iter().flatten();
        said.into_iter().any(|said| names.iter().any(|name| said.eq_ignore_ascii_case(name)))
    }

    /// Whether its message begins so. What stands further on may be the caller's own words, and proves nothing.
    pub(super) fn starts_with(&self, words: &str) -> bool {
        self.message.as_ref().is_some_and(|message| message.starts_with(words))
    }

    pub(super) fn is_too_long(&self) -> bool {
        self.is_any_of(&["context_length_exceeded", "exceed_context_size_error", "request_too_large"])
            || self.message.as_ref().is_some_and(|message| TOO_LONG.iter().any(|words| message.contains(words)))
    }

    pub(super) fn message(&self, status: u16) -> String {
        let message = self.message.as_ref().filter(|message| !message.is_empty());
        message.map_or_else(|| format!("status {status}"), String::clone)
    }

    pub(super) fn field(self) -> Option<String> {
        self.field.filter(|field| !field.is_empty())
    }
}
