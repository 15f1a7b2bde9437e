//! The gate: what a query must look like before anything plans it.
//!
//! It runs twice, in the hub (so that what is refused costs no process) and in the query's own process, which plans exactly
//! the tree that passed. In the hub it must not be a danger itself: the parser and the walk recurse, so the text, its tokens
//! and its nesting are bounded first, by a scan that does not recurse, and both then run on a thread with a large stack.
//!
//! The limits come from what was measured with DataFusion 55: an 8,000-term sum overflows the planner's stack, 300 joins never
//! finish planning, and a CTE that is doubled 18 times hangs in one kilobyte of SQL.

mod walk;

use datafusion::sql::sqlparser::ast::{Query, Statement};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::protocol::Work;
use super::{SqlError, parameters};

/// The most bytes of a query.
pub const MAX_SQL_BYTES: usize = 16 * 1024;
/// The most tokens of a query, spaces and comments not counted.
pub const MAX_TOKENS: usize = 2_000;
/// The deepest that brackets may be nested.
pub const MAX_BRACKETS: usize = 32;
/// The most nodes of the syntax tree.
pub const MAX_NODES: usize = 1_000;
/// The deepest that expressions and subqueries may be nested. A chain such as `a OR b OR c` counts once.
pub const MAX_DEPTH: usize = 32;
/// The deepest that queries may be nested in one another.
pub const MAX_QUERY_DEPTH: usize = 8;
/// The most joins, commas in FROM included.
pub const MAX_JOINS: usize = 12;
/// The most UNION, INTERSECT and EXCEPT.
pub const MAX_SET_OPERATIONS: usize = 64;
/// The most named subqueries (WITH).
pub const MAX_CTES: usize = 16;
/// The most tables that are read once each named subquery stands where it is used.
pub const MAX_EXPANDED_RELATIONS: usize = 64;
/// The most values of an IN list.
pub const MAX_IN_LIST: usize = 1_000;
/// The most window functions.
pub const MAX_WINDOWS: usize = 20;
/// The most regular expressions.
pub const MAX_REGEXES: usize = 4;
/// The longest regular expression, in bytes.
pub const MAX_REGEX_BYTES: usize = 256;
/// The most columns of CUBE, whose groups double with each.
pub const MAX_CUBE: usize = 6;

/// How deep the parser may recurse.
const PARSER_DEPTH: usize = 100;
/// The stack on which the gate parses and walks, in bytes; only what is used takes memory.
const STACK_BYTES: usize = 32 << 20;

/// Checks a query and returns its tree. Blocks for about a millisecond.
///
/// # Errors
/// [`SqlError::Refused`] for what may not be asked, [`SqlError::Invalid`] for what is not SQL, [`SqlError::Unavailable`] if no
/// thread can be started.
pub fn check(sql: &str) -> Result<Query, SqlError> {
    check_work(sql, &Work::Run(Vec::new())).map(|checked| checked.tree)
}

/// A query that has passed.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Its tree. The parameters whose values or types are known are in it; others are still `$1`.
    pub(crate) tree: Query,
    /// How many parameters it has, if it is to be described.
    pub(crate) parameters: usize,
}

/// As [`check`], for a query with parameters.
pub(crate) fn check_work(sql: &str, work: &Work) -> Result<Checked, SqlError> {
    if sql.len() > MAX_SQL_BYTES {
        return Err(over("the query has", sql.len(), "bytes", MAX_SQL_BYTES, "shorten it"));
    }
    let (sql, work) = (sql.to_owned(), work.clone());
    std::thread::Builder::new()
        .name("sql-gate".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || parse(&sql, &work))
        .map_err(|_no_thread| SqlError::Unavailable)?
        .join()
        .unwrap_or_else(|_panic| Err(SqlError::Invalid { reason: "the query cannot be parsed".to_owned() }))
}

fn parse(sql: &str, work: &Work) -> Result<Checked, SqlError> {
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, sql).tokenize_with_location().map_err(|error| invalid(&error.to_string()))?;
    check_tokens(tokens.iter().map(|token| &token.token))?;
    let statements = Parser::new(&dialect)
        .with_recursion_limit(PARSER_DEPTH)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(|error| match error {
            ParserError::RecursionLimitExceeded => refused("the query is nested too deeply: flatten it"),
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => invalid(&text),
        })?;
    let mut statements = statements.into_iter();
    let (Some(statement), None) = (statements.next(), statements.next()) else {
        return Err(refused("write exactly one SELECT; several statements are not run"));
    };
    let Statement::Query(query) = statement else {
        return Err(refused(
            "only SELECT is run here: nothing can be changed, set, explained, copied or described; \
             SELECT * FROM catalogue lists tables and columns",
        ));
    };
    let mut tree = *query;
    let parameters = match work {
        Work::Run(values) => {
            parameters::put(&mut tree, values)?;
            0
        }
        Work::Describe(types) => parameters::put_types(&mut tree, types)?,
    };
    walk::check(&tree)?;
    Ok(Checked { tree, parameters })
}

fn check_tokens<'a>(tokens: impl Iterator<Item = &'a Token>) -> Result<(), SqlError> {
    let (mut count, mut depth) = (0_usize, 0_usize);
    for token in tokens {
        match token {
            Token::Whitespace(_) | Token::EOF => continue,
            Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
            Token::RParen | Token::RBracket | Token::RBrace => depth = depth.saturating_sub(1),
            _ => {}
        }
        count += 1;
        if depth > MAX_BRACKETS {
            return Err(over("brackets are nested", depth, "deep", MAX_BRACKETS, "flatten the query"));
        }
    }
    if count > MAX_TOKENS {
        return Err(over("the query has", count, "tokens", MAX_TOKENS, "shorten it"));
    }
    Ok(())
}

fn refused(reason: &str) -> SqlError {
    SqlError::Refused { reason: reason.to_owned() }
}

fn over(what: &str, found: usize, unit: &str, limit: usize, fix: &str) -> SqlError {
    SqlError::Refused { reason: format!("{what} {found} {unit}, at most {limit} are allowed: {fix}") }
}

fn invalid(text: &str) -> SqlError {
    SqlError::Invalid { reason: text.trim_start_matches("sql parser error: ").chars().take(500).collect() }
}
