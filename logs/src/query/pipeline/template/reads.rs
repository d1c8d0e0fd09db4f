//! What a template reads, told from its tree.

use std::collections::BTreeSet;
use std::sync::Arc;

use gotmpl::FuncMap;
use gotmpl::TemplateError;
use gotmpl::parse::{BranchNode, Expr, ListNode, Node, Parser, PipeNode, SmolStr};

/// Functions of the template language itself.
const BUILTINS: [&str; 19] = [
    "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or",
    "print", "printf", "println", "slice", "urlquery",
];

/// A part of a template that needs no evaluation.
pub(super) enum SimplePart {
    /// Text.
    Text(Arc<str>),
    /// `{{.label}}`
    Label(String),
}

/// The labels, functions and entry parts a template reads.
#[derive(Default)]
pub(super) struct Reads {
    /// Labels by name.
    pub(super) names: BTreeSet<Arc<str>>,
    /// Whether all labels are read at once, as `{{.}}` does.
    pub(super) everything: bool,
    /// Whether the line or the time is read.
    pub(super) entry: bool,
    /// The whole template, where it is texts and labels alone.
    pub(super) simple: Option<Vec<SimplePart>>,
    called: BTreeSet<String>,
}

impl Reads {
    pub(super) fn of(text: &str) -> Result<Self, TemplateError> {
        let (list, definitions) = Parser::new(text, "{{", "}}")?.parse()?;
        let mut reads = Self::default();
        reads.list(&list);
        for definition in &definitions {
            reads.list(&definition.body);
        }
        reads.simple = simple_parts(&list);
        Ok(reads)
    }

    /// A function called that is neither built in nor given.
    pub(super) fn unknown_function(&self, functions: &FuncMap) -> Option<&str> {
        self.called
            .iter()
            .map(String::as_str)
            .find(|name| !BUILTINS.contains(name) && !functions.contains_key(*name))
    }

    fn list(&mut self, list: &ListNode) {
        for node in &list.nodes {
            match node {
                Node::List(list) => self.list(list),
                Node::Action(action) => self.pipe(&action.pipe),
                Node::If(branch) | Node::Range(branch) | Node::With(branch) => self.branch(branch),
                Node::Template(template) => {
                    if let Some(pipe) = &template.pipe {
                        self.pipe(pipe);
                    }
                }
                Node::Define(definition) => self.list(&definition.body),
                _ => {}
            }
        }
    }

    fn branch(&mut self, branch: &BranchNode) {
        self.pipe(&branch.pipe);
        self.list(&branch.body);
        if let Some(list) = &branch.else_body {
            self.list(list);
        }
    }

    fn pipe(&mut self, pipe: &PipeNode) {
        for command in &pipe.commands {
            for argument in &command.args {
                self.expr(argument);
            }
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Dot(_) => self.everything = true,
            // Inside `with` and `range` the name may belong to another value; reading one label
            // too many does no harm.
            Expr::Field(_, chain) => self.name(chain.first().map(SmolStr::as_str)),
            Expr::Variable(_, variable, chain) if variable == "$" => match chain.first() {
                Some(name) => self.name(Some(name.as_str())),
                None => self.everything = true,
            },
            Expr::Identifier(_, name) => {
                self.entry |= name == "__line__" || name == "__timestamp__";
                self.called.insert(name.to_string());
            }
            Expr::Pipe(_, pipe) => self.pipe(pipe),
            Expr::Chain(_, inner, _) => self.expr(inner),
            _ => {}
        }
    }

    fn name(&mut self, name: Option<&str>) {
        if let Some(name) = name {
            self.names.insert(name.into());
        }
    }
}

fn simple_parts(list: &ListNode) -> Option<Vec<SimplePart>> {
    list.nodes
        .iter()
        .map(|node| match node {
            Node::Text(text) => Some(SimplePart::Text(Arc::clone(&text.text))),
            Node::Action(action) if action.pipe.decl.is_empty() => {
                let [command] = action.pipe.commands.as_slice() else {
                    return None;
                };
                let [Expr::Field(_, chain)] = command.args.as_slice() else {
                    return None;
                };
                let [name] = chain.as_slice() else {
                    return None;
                };
                Some(SimplePart::Label(name.to_string()))
            }
            _ => None,
        })
        .collect()
}
