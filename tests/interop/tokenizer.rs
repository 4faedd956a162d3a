//! The builtin tokenizers as files of another library: the same ids for any text.

use bowline::data::{Builtin, Tokenizer};
use bowline::interop::tokenizer_json;
use proptest::prelude::*;
use std::sync::LazyLock;

const SEPARATOR: &str = "<|endoftext|>";

static PAIRS: LazyLock<Vec<(Tokenizer, Tokenizer)>> = LazyLock::new(|| {
    let pair = |builtin: Builtin| {
        let file = Tokenizer::from_json(tokenizer_json(builtin), SEPARATOR, builtin.name()).expect("a tokenizer.json");
        (builtin.tokenizer(SEPARATOR).expect("its separator"), file)
    };
    [Builtin::Bytes, Builtin::Cl100kBase].map(pair).into()
});

fn assert_same(text: &str) {
    for (builtin, file) in &*PAIRS {
        let ids = builtin.encode(text).expect("encoded");
        assert_eq!(file.encode(text).expect("encoded"), ids, "{text:?}");
        assert_eq!(file.decode(&ids).expect("decoded"), text);
    }
}

#[test]
fn the_file_gives_the_same_ids() {
    for (builtin, file) in &*PAIRS {
        assert_eq!((file.separator(), file.vocab()), (builtin.separator(), builtin.vocab()));
    }
    let texts = [
        "",
        "The Congress of the United States shall have 1234567 dollars, and they'll spend it: WE'RE sure.",
        "  leading,\ttabs\n\n\nand   runs \r\n of space   \n  ",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ================ ........ ////\\\\",
        "def f(x):\n        return x ** 2  # no\n",
        "na\u{ef}ve \u{65e5}\u{672c}\u{8a9e} \u{1f469}\u{200d}\u{1f680} \u{3a9}\u{301} <|endoftext|> <|fim_prefix|>",
    ];
    texts.into_iter().for_each(assert_same);
}

proptest! {
    #[test]
    fn any_text_does(text in "\\PC{0,40}", code in "[ \\n\\r\\ta-cA-C'0-9=.,s]{0,60}") {
        assert_same(&text);
        assert_same(&code);
    }
}
