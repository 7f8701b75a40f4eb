use serde::Serialize;

/// A JSON object, written as it is said. What is said as text that is JSON already stays that text.
#[derive(Debug)]
pub(super) struct Object(Vec<u8>);

impl Object {
    pub(super) fn new(room: usize) -> Self {
        Self(Vec::with_capacity(room))
    }

    /// Adds a member.
    pub(super) fn say<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        self.write(name);
        self.0.push(b':');
        self.write(value);
    }

    /// The whole text. There is a member at least.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }

    fn write<T: Serialize + ?Sized>(&mut self, value: &T) {
        serde_json::to_writer(&mut self.0, value).expect("memory takes JSON");
    }
}
