//! What Go does and the library does not: the tree is changed once, before it is run.
//!
//! `.A.B` becomes `__field . "A" "B"`, which prints nothing for a label that is not there; `(x).F 1`
//! becomes `__method x "F" 1`; what is printed goes through `__print`. Functions and variables that
//! nobody defined are refused here, as Go refuses them when it reads a template.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::parse::{
    BranchNode, CommandNode, DefineNode, Expr, ListNode, Node, PipeNode, Pos, SmolStr,
};
use gotmpl::{FuncMap, Value};

use super::{Outcome, failed, functions, print, time};

/// Functions of the template language itself.
const BUILTINS: [&str; 19] = [
    "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or",
    "print", "printf", "println", "slice", "urlquery",
];
const FIELD: &str = "__field";
const METHOD: &str = "__method";

/// What nobody defined.
pub(super) struct Undefined {
    /// Line of the template, from 1.
    pub(super) line: usize,
    pub(super) message: String,
}

/// Puts a template right.
pub(super) fn mend(main: &mut ListNode, definitions: &mut [DefineNode]) -> Result<(), Undefined> {
    let mut mender = Mender::default();
    mender.list(main)?;
    for definition in definitions {
        mender.variables.clear();
        mender.list(&mut definition.body)?;
    }
    Ok(())
}

/// The functions that a mended tree calls.
pub(super) fn register(functions: &mut FuncMap) {
    functions.insert(FIELD.to_owned(), Arc::new(field));
    functions.insert(METHOD.to_owned(), Arc::new(method));
    functions.insert("index".to_owned(), Arc::new(index));
}

/// As the library's, but that a label that is not there is empty.
fn index(arguments: &[Value]) -> Outcome {
    let Some((value, keys)) = arguments.split_first() else {
        return Err(failed(
            "wrong number of args for index: want at least 1 got 0",
        ));
    };
    let mut value = value.clone();
    for key in keys {
        value = match (&value, key) {
            (Value::Map(map), Value::String(name)) if is_text_map(map) => {
                let found = map.get(name.as_ref()).cloned();
                found.unwrap_or(Value::String("".into()))
            }
            (value, key) => value.index(key)?,
        };
    }
    Ok(value)
}

/// Whether the zero value of a map's values is an empty text.
fn is_text_map(map: &BTreeMap<Arc<str>, Value>) -> bool {
    map.values().all(|value| matches!(value, Value::String(_)))
}

/// A value and the names of fields to go through.
fn field(arguments: &[Value]) -> Outcome {
    let Some((value, names)) = arguments.split_first() else {
        return Ok(Value::Nil);
    };
    let mut value = value.clone();
    for name in names {
        let name = name.as_str().unwrap_or_default();
        value = step(&value, name)?;
    }
    Ok(value)
}

fn step(value: &Value, name: &str) -> Outcome {
    if time::is_time(value) {
        return time::method(value, name, &[]);
    }
    match value {
        Value::Map(map) => match map.get(name) {
            Some(found) => Ok(found.clone()),
            // A set of labels: the zero value of a text.
            None if is_text_map(map) => Ok(Value::String("".into())),
            None if map.contains_key("Labels") => Err(failed(format!(
                "can't evaluate field {name} in type {}",
                print::go_type(value)
            ))),
            None => Ok(Value::Nil),
        },
        Value::Nil => Err(failed(format!("nil data; no entry for key {name:?}"))),
        _ => Err(failed(format!(
            "can't evaluate field {name} in type {}",
            print::go_type(value)
        ))),
    }
}

/// A value, the name of a method, and its arguments.
fn method(arguments: &[Value]) -> Outcome {
    match arguments {
        [value, Value::String(name), arguments @ ..] if time::is_time(value) => {
            time::method(value, name, arguments)
        }
        [value, Value::String(name), ..] => Err(failed(format!(
            "can't evaluate field {name} in type {}",
            print::go_type(value)
        ))),
        _ => Ok(Value::Nil),
    }
}

#[derive(Default)]
struct Mender {
    /// Variables that are defined where the walk is.
    variables: Vec<SmolStr>,
    /// Loops that the walk is in.
    ranges: usize,
}

impl Mender {
    fn list(&mut self, list: &mut ListNode) -> Result<(), Undefined> {
        for node in &mut list.nodes {
            match node {
                Node::List(list) => self.list(list)?,
                Node::Action(action) => {
                    self.pipe(&mut action.pipe)?;
                    if action.pipe.decl.is_empty() {
                        let pos = action.pos;
                        let args = vec![identifier(pos, print::PRINT)];
                        action.pipe.commands.push(CommandNode { pos, args });
                    }
                }
                Node::If(branch) | Node::With(branch) => self.branch(branch)?,
                Node::Range(branch) => {
                    self.ranges += 1;
                    self.branch(branch)?;
                    self.ranges -= 1;
                }
                Node::Template(template) => {
                    if let Some(pipe) = &mut template.pipe {
                        self.pipe(pipe)?;
                    }
                }
                Node::Define(definition) => self.list(&mut definition.body)?,
                Node::Break(pos) => self.within_range(*pos, "break")?,
                Node::Continue(pos) => self.within_range(*pos, "continue")?,
                Node::Text(_) => {}
            }
        }
        Ok(())
    }

    fn within_range(&self, pos: Pos, what: &str) -> Result<(), Undefined> {
        if self.ranges > 0 {
            return Ok(());
        }
        Err(Undefined {
            line: pos.line,
            message: format!("{{{{{what}}}}} outside {{{{range}}}}"),
        })
    }

    fn branch(&mut self, branch: &mut BranchNode) -> Result<(), Undefined> {
        let outside = self.variables.len();
        self.pipe(&mut branch.pipe)?;
        let inside = self.variables.len();
        self.list(&mut branch.body)?;
        self.variables.truncate(inside);
        if let Some(list) = &mut branch.else_body {
            self.list(list)?;
        }
        self.variables.truncate(outside);
        Ok(())
    }

    fn pipe(&mut self, pipe: &mut PipeNode) -> Result<(), Undefined> {
        for command in &mut pipe.commands {
            self.command(command)?;
        }
        for name in &pipe.decl {
            if pipe.is_assign {
                self.known(pipe.pos, name)?;
            } else {
                self.variables.push(name.clone());
            }
        }
        Ok(())
    }

    fn command(&mut self, command: &mut CommandNode) -> Result<(), Undefined> {
        let has_arguments = command.args.len() > 1;
        for argument in command.args.iter_mut().skip(1) {
            self.expr(argument)?;
        }
        let Some(first) = command.args.first_mut() else {
            return Ok(());
        };
        match first {
            Expr::Identifier(pos, name) => return known_function(*pos, name),
            Expr::Chain(_, inner, _)
                if has_arguments && matches!(**inner, Expr::Identifier(..)) =>
            {
                return self.expr(inner);
            }
            _ => {}
        }
        let method = has_arguments.then(|| take_last_name(first)).flatten();
        self.expr(first)?;
        if let Some((pos, name)) = method {
            command
                .args
                .insert(1, Expr::String(pos, name.as_str().into()));
            command.args.insert(0, identifier(pos, METHOD));
        }
        Ok(())
    }

    fn expr(&mut self, expr: &mut Expr) -> Result<(), Undefined> {
        let pos = expr.pos();
        let (base, names) = match expr {
            Expr::Identifier(pos, name) => return known_function(*pos, name),
            Expr::Pipe(_, pipe) => return self.pipe(pipe),
            Expr::Field(_, names) => (Expr::Dot(pos), std::mem::take(names)),
            Expr::Variable(pos, name, names) => {
                self.known(*pos, name)?;
                let base = Expr::Variable(*pos, name.clone(), Vec::new());
                (base, std::mem::take(names))
            }
            Expr::Chain(_, inner, names) => {
                self.expr(inner)?;
                ((**inner).clone(), std::mem::take(names))
            }
            _ => return Ok(()),
        };
        *expr = if names.is_empty() {
            base
        } else {
            let mut args = vec![identifier(pos, FIELD), base];
            let names = names.iter();
            args.extend(names.map(|name| Expr::String(pos, name.as_str().into())));
            let pipe = PipeNode {
                pos,
                decl: Vec::new(),
                commands: vec![CommandNode { pos, args }],
                is_assign: false,
            };
            Expr::Pipe(pos, pipe)
        };
        Ok(())
    }

    fn known(&self, pos: Pos, name: &SmolStr) -> Result<(), Undefined> {
        if name == "$" || self.variables.contains(name) {
            return Ok(());
        }
        Err(Undefined {
            line: pos.line,
            message: format!("undefined variable {:?}", name.as_str()),
        })
    }
}

/// The method of `x.F 1`, taken off `x`.
fn take_last_name(expr: &mut Expr) -> Option<(Pos, SmolStr)> {
    let pos = expr.pos();
    match expr {
        Expr::Field(_, names) | Expr::Variable(_, _, names) | Expr::Chain(_, _, names) => {
            names.pop().map(|name| (pos, name))
        }
        _ => None,
    }
}

fn identifier(pos: Pos, name: &'static str) -> Expr {
    Expr::Identifier(pos, SmolStr::new_static(name))
}

fn known_function(pos: Pos, name: &SmolStr) -> Result<(), Undefined> {
    if BUILTINS.contains(&name.as_str()) || functions::NAMES.contains(&name.as_str()) {
        return Ok(());
    }
    Err(Undefined {
        line: pos.line,
        message: format!("function {:?} not defined", name.as_str()),
    })
}
