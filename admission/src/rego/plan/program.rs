//! What a plan is made of.
//!
//! A rule has definitions, a definition has alternatives (the body and what stands after `else`), an alternative has a
//! block of operations, and what follows if they all hold. An operation holds or does not; one that goes through a collection
//! holds for each element that matches, and what stands after it is done for each.

use regorus::Value;
use regorus::unstable::BoolOp;

use super::Function;

/// The place of a variable, or of a value in between, in the frame of a definition.
pub(super) type Slot = usize;

/// Which rule.
pub(super) type RuleId = usize;

/// All rules that the entry needs.
pub(super) struct Program {
    pub(super) rules: Vec<Rule>,
    pub(super) entry: RuleId,
}

/// A rule: all that modules say of one name.
#[derive(Default)]
pub(super) struct Rule {
    pub(super) kind: Kind,
    pub(super) definitions: Vec<Definition>,
    /// Its value where no definition gives one.
    pub(super) default: Option<Value>,
    /// The one value that every definition gives, where that is known; then the first that holds is enough.
    pub(super) only: Option<Value>,
}

/// What the value of a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Kind {
    /// One value.
    #[default]
    Complete,
    /// A set, of which each definition gives members.
    Set,
    /// An object, of which each definition gives members.
    Object,
    /// One value for given arguments.
    Function(usize),
}

/// One definition of a rule.
pub(super) struct Definition {
    /// How many slots its frame has; the arguments are the first of them.
    pub(super) slots: usize,
    /// What the arguments must match.
    pub(super) arguments: Vec<Pattern>,
    /// The first that holds counts.
    pub(super) alternatives: Vec<Alternative>,
}

/// A body, and what it gives.
pub(super) struct Alternative {
    pub(super) block: Block,
    /// The member's key, of an object.
    pub(super) key: Option<Term>,
    /// The value, or the member.
    pub(super) value: Term,
}

/// Operations, one after another.
pub(super) type Block = Vec<Op>;

/// A value that is known when it is needed.
#[derive(Debug, Clone)]
pub(super) enum Term {
    Constant(Value),
    Slot(Slot),
    Input,
    /// What stands below `data` beside the modules.
    Data,
}

/// What a value must look like, and which variables it gives values to.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    Anything,
    Bind(Slot),
    Equal(Term),
    Array(Vec<Pattern>),
    /// All members, and no others.
    Object(Vec<(Term, Pattern)>),
}

/// What a comprehension builds.
#[derive(Debug, Clone)]
pub(super) enum Collect {
    Array,
    Set,
    Object { key: Term },
}

/// What a builtin gives of its arguments, for those that look at them no more than they must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    /// It may look at all of them.
    Anything,
    /// The first as it is, or nothing.
    Itself,
    /// What stands at a path in the first, or the last: `object.get`.
    Member,
    /// The elements of all: `array.concat`.
    Joined,
    /// The names of the first, or their number: `object.keys`, `count`.
    Names,
}

/// One step. Those with `out` put a value there; without a value they do not hold.
pub(super) enum Op {
    /// What stands in `from` at a path.
    Get {
        from: Term,
        path: Vec<Term>,
        out: Slot,
    },
    /// Each element. Whether what is no collection has none, or is an error, is `lenient`.
    Each {
        from: Term,
        key: Pattern,
        value: Pattern,
        lenient: bool,
    },
    /// The value of a rule.
    Rule {
        rule: RuleId,
        out: Slot,
    },
    /// A function written in Rego.
    Call {
        rule: RuleId,
        arguments: Vec<Term>,
        out: Slot,
    },
    /// A function that is not.
    Builtin {
        function: Function,
        gives: Gives,
        arguments: Vec<Term>,
        out: Slot,
    },
    /// Holds where the value matches.
    Match {
        pattern: Pattern,
        with: Term,
    },
    /// Holds where the comparison does; with `out` it always holds, and tells.
    Compare {
        op: BoolOp,
        left: Term,
        right: Term,
        out: Option<Slot>,
    },
    /// Holds where the element is there; with `out` it always holds, and tells.
    Contains {
        key: Option<Term>,
        value: Term,
        collection: Term,
        out: Option<Slot>,
    },
    /// Holds for everything but `false`.
    Test(Term),
    /// Never holds.
    Fail,
    /// Holds where the block does not.
    Not(Block),
    /// Holds where the block does for each element.
    Every {
        domain: Term,
        key: Pattern,
        value: Pattern,
        block: Block,
    },
    /// A comprehension.
    Collect {
        what: Collect,
        block: Block,
        value: Term,
        out: Slot,
    },
    Array {
        items: Vec<Term>,
        out: Slot,
    },
    Set {
        items: Vec<Term>,
        out: Slot,
    },
    Object {
        members: Vec<(Term, Term)>,
        out: Slot,
    },
}
