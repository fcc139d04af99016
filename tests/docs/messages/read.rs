//! Reads the messages of a source file: texts for people, the reasons beside them, and the levels of log lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proc_macro2::{TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, File, Lit, LitStr, Macro, Token};

/// The constants whose text other messages hold, by name.
pub type Consts = BTreeMap<String, String>;

/// A message of the source.
#[derive(Debug, Clone)]
pub struct Found {
    pub kind: Kind,
    /// The text, with named placeholders in braces.
    pub text: String,
    /// The reasons that stand beside the text in the source; of a log line, its level.
    pub beside: Vec<String>,
    /// Whether the text is that of a constant.
    pub is_const: bool,
}

#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A message, or a part of one.
    Text,
    /// The text of a log line.
    Log,
}

impl Kind {
    /// The heading of the column beside the texts.
    pub fn beside(self) -> &'static str {
        match self {
            Self::Text => "reasons",
            Self::Log => "level",
        }
    }
}

/// The levels of log lines, which are the names of their macros.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
/// The macros whose texts stand on another page, or that only programmers see.
const SILENT: [&str; 6] = [
    "macro_rules",
    "reasons",
    "assert",
    "assert_eq",
    "debug_assert",
    "unreachable",
];
/// The macros that fill a format.
const FORMATS: [&str; 10] = [
    "anyhow",
    "bail",
    "ensure",
    "eprintln",
    "format",
    "format_args",
    "print",
    "println",
    "write",
    "writeln",
];
/// The most reasons of one place in the source that are said to be those of a text.
const FEW: usize = 4;

/// Adds the texts of the constants of a file.
pub fn consts(file: &File, known: &mut Consts) {
    struct Reader<'a>(&'a mut Consts);
    impl<'ast> Visit<'ast> for Reader<'_> {
        fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
            if let Expr::Lit(lit) = &*item.expr
                && let Lit::Str(text) = &lit.lit
            {
                self.0.insert(item.ident.to_string(), text.value());
            }
        }
    }
    Reader(known).visit_file(file);
}

/// The messages of a file, in their order.
pub fn messages(file: &File, known: &Consts) -> Vec<Found> {
    let mut reader = Reader {
        known,
        found: Vec::new(),
        around: Vec::new(),
        is_const: false,
    };
    reader.visit_file(file);
    reader.found
}

struct Reader<'a> {
    known: &'a Consts,
    found: Vec<Found>,
    /// The reasons within each expression around the present place, from the outermost one.
    around: Vec<Vec<String>>,
    /// Whether the present place is the value of a constant.
    is_const: bool,
}

impl Reader<'_> {
    fn text(&mut self, text: &str) {
        if is_for_people(text) {
            let beside = self.reasons();
            self.found.push(Found {
                kind: Kind::Text,
                text: text.to_owned(),
                beside,
                is_const: self.is_const,
            });
        }
    }

    /// The reasons of the smallest expression around the present place that names any.
    fn reasons(&self) -> Vec<String> {
        let named = self.around.iter().rev().find(|reasons| !reasons.is_empty());
        let few = named.filter(|reasons| reasons.len() <= FEW);
        few.cloned().unwrap_or_default()
    }

    fn within(&mut self, tokens: TokenStream, visit: impl FnOnce(&mut Self)) {
        let mut reasons = Vec::new();
        reasons_in(tokens, &mut reasons);
        self.around.push(reasons);
        visit(self);
        self.around.pop();
    }

    fn tokens(&mut self, name: &str, tokens: TokenStream) {
        if SILENT.contains(&name) {
            return;
        }
        if LEVELS.contains(&name) {
            if let Some(text) = text_of_log_line(&tokens) {
                let text = self.filled(&text, &[]);
                self.found.push(Found {
                    kind: Kind::Log,
                    text,
                    beside: vec![name.to_owned()],
                    is_const: false,
                });
            }
            return;
        }
        let parsed = syn::parse::Parser::parse2(
            Punctuated::<Expr, Token![,]>::parse_terminated,
            tokens.clone(),
        );
        if let Ok(parsed) = parsed {
            let all: Vec<&Expr> = parsed.iter().collect();
            let at = all.iter().position(|one| literal(one).is_some());
            if let Some(at) = at
                && FORMATS.contains(&name)
            {
                let text = literal(all[at]).unwrap().value();
                let text = self.filled(&text, &all[at + 1..]);
                self.text(&text);
                for argument in &all[at + 1..] {
                    self.visit_expr(argument);
                }
                return;
            }
            for one in all {
                self.visit_expr(one);
            }
            return;
        }
        self.other_tokens(tokens);
    }

    /// Tokens that are no list of expressions, such as those of `select!`.
    fn other_tokens(&mut self, tokens: TokenStream) {
        let all: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in all.iter().enumerate() {
            match token {
                TokenTree::Literal(literal) => {
                    if let Ok(text) = syn::parse_str::<LitStr>(&literal.to_string()) {
                        let text = self.filled(&text.value(), &[]);
                        self.text(&text);
                    }
                }
                TokenTree::Group(group) => {
                    let is_macro = at >= 2 && all[at - 1].to_string() == "!";
                    if is_macro {
                        self.tokens(&all[at - 2].to_string(), group.stream());
                    } else {
                        self.other_tokens(group.stream());
                    }
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
        }
    }

    /// Gives each placeholder of a format a name: that of a constant's text, of its argument, or its own.
    fn filled(&self, format: &str, arguments: &[&Expr]) -> String {
        let mut text = String::new();
        let mut unnamed = arguments.iter();
        let mut rest = format;
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            rest = &rest[at..];
            if rest.starts_with("{{") || rest.starts_with("}}") {
                text.push_str(&rest[..1]);
                rest = &rest[2..];
                continue;
            }
            let Some(end) = rest.find('}') else { break };
            let name = rest[1..end.max(1)].split(':').next().unwrap_or_default();
            let argument = match name.parse::<usize>() {
                Ok(number) => Some(arguments.get(number)),
                Err(_) => name.is_empty().then(|| unnamed.next()),
            };
            let name = argument.map_or_else(
                || name.to_owned(),
                |argument| argument.map_or_else(|| "value".to_owned(), |one| name_of(one)),
            );
            if let Some(constant) = self.known.get(&name) {
                text.push_str(constant);
            } else {
                let _ = write!(text, "{{{}}}", name.to_lowercase());
            }
            rest = &rest[end + 1..];
        }
        text + rest
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_test(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    /// Of attributes, only those of errors hold messages.
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("error")
            && let syn::Meta::List(list) = &attribute.meta
        {
            self.tokens("format", list.tokens.clone());
        }
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        if is_test(&item.attrs) {
            return;
        }
        self.is_const = true;
        visit::visit_item_const(self, item);
        self.is_const = false;
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        self.within(quote(arm), |reader| visit::visit_arm(reader, arm));
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        self.within(quote(local), |reader| visit::visit_local(reader, local));
    }

    fn visit_expr(&mut self, expr: &'ast Expr) {
        self.within(quote(expr), |reader| visit::visit_expr(reader, expr));
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        self.within(quote(block), |reader| visit::visit_block(reader, block));
    }

    fn visit_lit_str(&mut self, text: &'ast LitStr) {
        self.text(&text.value());
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        let name = mac
            .path
            .segments
            .last()
            .map_or_else(String::new, |last| last.ident.to_string());
        self.tokens(&name, mac.tokens.clone());
    }
}

fn quote(node: &impl quote::ToTokens) -> TokenStream {
    node.to_token_stream()
}

/// The text of a log line: its last literal that is not the value of a field.
fn text_of_log_line(tokens: &TokenStream) -> Option<String> {
    let all: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let mut texts = all.iter().enumerate().filter_map(|(at, token)| {
        let is_value = at > 0 && all[at - 1].to_string() == "=";
        let text = syn::parse_str::<LitStr>(&token.to_string()).ok()?;
        (!is_value).then(|| text.value())
    });
    texts.next_back()
}

fn literal(expr: &Expr) -> Option<&LitStr> {
    match expr {
        Expr::Lit(lit) => match &lit.lit {
            Lit::Str(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// The name of an argument: its last field, method, function or variable.
fn name_of(expr: &Expr) -> String {
    match expr {
        Expr::Path(path) => path
            .path
            .segments
            .last()
            .map_or_else(|| "value".to_owned(), |last| last.ident.to_string()),
        Expr::Field(field) => match &field.member {
            syn::Member::Named(name) => name.to_string(),
            syn::Member::Unnamed(_) => name_of(&field.base),
        },
        Expr::Call(call) => match call.args.first() {
            Some(first) if call.args.len() == 1 => name_of(first),
            _ => name_of(&call.func),
        },
        Expr::MethodCall(call) => match &*call.method.to_string() {
            "as_deref" | "as_secs" | "as_str" | "as_u16" | "checked_add" | "clone" | "join"
            | "to_string" | "trim" | "unwrap_or" | "unwrap_or_default" => name_of(&call.receiver),
            method => method.to_owned(),
        },
        Expr::Reference(reference) => name_of(&reference.expr),
        Expr::Paren(paren) => name_of(&paren.expr),
        Expr::Assign(assign) => name_of(&assign.right),
        _ => "value".to_owned(),
    }
}

/// Whether a text is one that people read: it has words, and looks like no path, no address and no data.
fn is_for_people(text: &str) -> bool {
    let words = text.split_whitespace().filter(|word| {
        let letters = word.trim_matches(|c: char| !c.is_alphanumeric());
        letters.len() > 1
            && letters
                .chars()
                .all(|c| c.is_alphabetic() || "'-./".contains(c))
    });
    words.count() >= 2
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg") && quote(attribute).to_string().contains("test"))
    })
}

/// Adds the reasons that these tokens name, as `Reason::Active` or `PlatformReason::Ready`.
fn reasons_in(tokens: TokenStream, reasons: &mut Vec<String>) {
    let all: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in all.iter().enumerate() {
        match token {
            TokenTree::Group(group) => reasons_in(group.stream(), reasons),
            TokenTree::Ident(name) if *name == "Reason" || *name == "PlatformReason" => {
                if let Some(TokenTree::Ident(reason)) = all.get(at + 3)
                    && reason.to_string().starts_with(char::is_uppercase)
                {
                    let reason = reason.to_string();
                    if reason != "ALL" && !reasons.contains(&reason) {
                        reasons.push(reason);
                    }
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}
