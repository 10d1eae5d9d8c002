//! The arms of `switch`: where each begins and ends, by the tokens alone. The tree knows the beginnings only.

use rhai::Token;

use super::Place;

/// What a token is, as far as it matters where something begins and ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Piece {
    /// `(` or `[`.
    Opens,
    /// `)` or `]`.
    Closes,
    /// `{` of a block, or of what is put into a text.
    OpensBlock,
    /// `#{`.
    OpensMap,
    /// `}` of any of them.
    ClosesBrace,
    Semicolon,
    Comma,
    /// `=>`.
    Arrow,
    /// The beginning of a statement that ends with a block: `if`, `switch`, `for`...
    Compound,
    /// What carries on behind a block: `else`, `catch`, and `while` or `until` of a `do`.
    CarriesOn,
    Other,
}

impl Piece {
    pub(super) const fn of(token: &Token) -> Self {
        match token {
            Token::LeftParen | Token::LeftBracket => Self::Opens,
            Token::RightParen | Token::RightBracket => Self::Closes,
            Token::LeftBrace => Self::OpensBlock,
            Token::MapStart => Self::OpensMap,
            Token::RightBrace => Self::ClosesBrace,
            Token::SemiColon => Self::Semicolon,
            Token::Comma => Self::Comma,
            Token::DoubleArrow => Self::Arrow,
            Token::If | Token::Switch | Token::For | Token::Loop | Token::While | Token::Try => {
                Self::Compound
            }
            Token::Else | Token::Catch => Self::CarriesOn,
            _ => Self::Other,
        }
    }

    /// Whether another statement may begin behind it.
    pub(super) const fn ends_statement(self) -> bool {
        matches!(self, Self::OpensBlock | Self::ClosesBrace | Self::Semicolon)
    }
}

/// What stands behind a `=>`, unless it is a block.
#[derive(Debug, PartialEq)]
pub(super) struct Arm {
    pub(super) begins: Place,
    /// Just behind it.
    pub(super) ends: Place,
}

/// All arms without a block, in the order of their beginnings.
pub(super) fn find(tokens: &[(Place, Piece)]) -> Vec<Arm> {
    let arrows = tokens.iter().enumerate().filter(|(_, (_, piece))| *piece == Piece::Arrow);
    arrows.filter_map(|(at, _)| arm(tokens.get(at + 1..)?)).collect()
}

/// The arm that begins with the first of these tokens.
fn arm(tokens: &[(Place, Piece)]) -> Option<Arm> {
    let (begins, first) = *tokens.first()?;
    if first == Piece::OpensBlock {
        return None;
    }
    let mut open: Vec<Piece> = Vec::new();
    for (index, &((line, column), piece)) in tokens.iter().enumerate() {
        match piece {
            Piece::Comma | Piece::ClosesBrace if open.is_empty() => {
                return Some(Arm { begins, ends: (line, column) });
            }
            Piece::Opens | Piece::OpensBlock | Piece::OpensMap => open.push(piece),
            Piece::Closes => _ = open.pop(),
            Piece::ClosesBrace => {
                let is_block = open.pop() == Some(Piece::OpensBlock) && open.is_empty();
                let next = tokens.get(index + 1).map(|(_, piece)| *piece);
                // Behind `if x { ... }` the next arm may follow without a comma.
                if is_block && first == Piece::Compound && next != Some(Piece::CarriesOn) {
                    return Some(Arm { begins, ends: (line, column + 1) });
                }
            }
            _ => {}
        }
    }
    None
}
