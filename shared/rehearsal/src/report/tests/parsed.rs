//! A report as a browser's parser sees it.

use std::rc::Rc;

use html5ever::tendril::TendrilSink;
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

/// A parsed document.
pub(super) struct Parsed {
    dom: RcDom,
}

/// An element of it.
pub(super) struct Element(Handle);

impl Parsed {
    pub(super) fn of(html: &str) -> Self {
        let mut options = ParseOpts::default();
        options.tokenizer.exact_errors = true;
        options.tree_builder.exact_errors = true;
        Self { dom: parse_document(RcDom::default(), options).one(html) }
    }

    /// What is not as it should be.
    pub(super) fn errors(&self) -> Vec<String> {
        self.dom.errors.borrow().iter().map(ToString::to_string).collect()
    }

    pub(super) fn quirks(&self) -> String {
        format!("{:?}", self.dom.quirks_mode.get())
    }

    fn root(&self) -> Element {
        Element(Rc::clone(&self.dom.document))
    }

    pub(super) fn elements(&self, name: &str) -> Vec<Element> {
        self.root().elements(name)
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.root().all().iter().filter_map(Element::name).collect()
    }

    pub(super) fn attributes(&self) -> Vec<(String, String)> {
        self.root().all().iter().flat_map(Element::attributes).collect()
    }

    pub(super) fn by_id(&self, id: &str) -> Option<Element> {
        self.root().all().into_iter().find(|element| element.attribute("id") == id)
    }

    pub(super) fn text(&self) -> String {
        self.root().text()
    }
}

impl Element {
    /// Itself and everything in it.
    fn all(&self) -> Vec<Self> {
        let mut all = vec![Self(Rc::clone(&self.0))];
        for child in self.0.children.borrow().iter() {
            all.extend(Self(Rc::clone(child)).all());
        }
        all
    }

    fn name(&self) -> Option<String> {
        match &self.0.data {
            NodeData::Element { name, .. } => Some(name.local.to_string()),
            _ => None,
        }
    }

    pub(super) fn elements(&self, name: &str) -> Vec<Self> {
        self.all().into_iter().filter(|element| element.name().as_deref() == Some(name)).collect()
    }

    fn attributes(&self) -> Vec<(String, String)> {
        let NodeData::Element { attrs, .. } = &self.0.data else { return Vec::new() };
        attrs.borrow().iter().map(|attribute| (attribute.name.local.to_string(), attribute.value.to_string())).collect()
    }

    /// An attribute's value; empty where there is none.
    pub(super) fn attribute(&self, name: &str) -> String {
        self.attributes().into_iter().find(|(other, _)| other == name).map(|(_, value)| value).unwrap_or_default()
    }

    pub(super) fn text(&self) -> String {
        let piece = |node: Self| match &node.0.data {
            NodeData::Text { contents } => contents.borrow().to_string(),
            _ => String::new(),
        };
        self.all().into_iter().map(piece).collect()
    }
}
