//! `docs/porting-a-board.md` shows a board as it is.

#[test]
fn the_page_has_the_board_that_it_quotes() {
    let page = include_str!("../../../docs/porting-a-board.md");
    let main = include_str!("../../mps2-an500/src/main.rs");
    let quoted = page.split("```").any(|piece| piece.strip_prefix("rust\n") == Some(main));
    assert!(
        quoted,
        "docs/porting-a-board.md quotes another boards/mps2-an500/src/main.rs than there is: copy it there"
    );
}
