//! What a value is held against: literals with variables in them that have no value yet.

use regorus::unstable::Expr;

use super::Unplanned;
use super::body::{Body, Variable, text};
use super::program::{Pattern, Slot, Term};

impl Body<'_, '_> {
    /// Whether a variable of the query gets its value from here.
    pub(super) fn is_open(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Var { value, .. } => {
                let name = text(value);
                name == "_" || matches!(self.variable(&name), Variable::Open(_))
            }
            Expr::Array { items, .. } => items.iter().any(|item| self.is_open(item)),
            Expr::Object { fields, .. } => fields.iter().any(|(_, _, value)| self.is_open(value)),
            _ => false,
        }
    }

    /// What is computed in a pattern is computed before it is matched.
    pub(super) fn pattern(&mut self, expr: &Expr) -> Result<Pattern, Unplanned> {
        let mut bound = Vec::new();
        let pattern = self.part(expr, &mut bound)?;
        for (_, slot) in bound {
            self.know(slot);
        }
        Ok(pattern)
    }

    fn part(&mut self, expr: &Expr, bound: &mut Vec<(String, Slot)>) -> Result<Pattern, Unplanned> {
        if !self.is_open(expr) {
            return Ok(Pattern::Equal(self.term(expr)?));
        }
        match expr {
            Expr::Array { items, .. } => {
                let mut parts = Vec::new();
                for item in items {
                    parts.push(self.part(item, bound)?);
                }
                Ok(Pattern::Array(parts))
            }
            Expr::Object { fields, .. } => {
                let mut parts = Vec::new();
                for (_, key, value) in fields {
                    parts.push((self.term(key)?, self.part(value, bound)?));
                }
                Ok(Pattern::Object(parts))
            }
            Expr::Var { value, .. } => {
                let name = text(value);
                if name == "_" {
                    return Ok(Pattern::Anything);
                }
                if let Some((_, slot)) = bound.iter().find(|(known, _)| *known == name) {
                    return Ok(Pattern::Equal(Term::Slot(*slot)));
                }
                match self.variable(&name) {
                    Variable::Open(slot) => {
                        bound.push((name, slot));
                        Ok(Pattern::Bind(slot))
                    }
                    _ => Err(Unplanned::Unbound(name)),
                }
            }
            _ => Err(Unplanned::Construct("a pattern like this")),
        }
    }
}
