//! Embedding.

use crate::common::*;
use crate::emulator::on_emulator;
use bowline::backend::Backend;
use bowline::cuda::Precision;

#[derive(Clone)]
struct Embedding {
    v: usize,
    d: usize,
    tokens: Vec<i32>,
    table: Vec<f32>,
    d_out: Vec<f32>,
    before: Vec<f32>,
}

fn cases() -> Vec<Embedding> {
    let mut rng = Rng(2);
    // (T, V, D): empty, single, repeated tokens, more rows than tasks, fewer rows than tasks
    [(0, 5, 3), (1, 1, 1), (70, 3, 7), (300, 1000, 16), (129, 33, 130)]
        .map(|(t, v, d)| {
            let mut tokens: Vec<i32> = (0..t).map(|_| rng.below(v) as i32).collect();
            if let [first, .., last] = &mut tokens[..] {
                (*first, *last) = (0, v as i32 - 1);
            }
            Embedding { v, d, tokens, table: rng.values(v * d), d_out: rng.values(t * d), before: rng.values(v * d) }
        })
        .to_vec()
}

impl Case for Embedding {
    fn label(&self) -> String {
        format!("embedding T={} V={} D={}", self.tokens.len(), self.v, self.d)
    }
    fn run<B: Backend>(&self, b: &B) -> Vec<Out> {
        let (t, v, d) = (self.tokens.len(), self.v, self.d);
        let tokens = Ints::new(b, &self.tokens);
        let mut rows = Floats::new(b, &vec![3.0; t * d]);
        b.embedding_forward(&mut rows.buf, &Floats::new(b, &self.table).buf, &tokens.buf, t, v, d).unwrap();
        let mut d_table = Floats::new(b, &self.before);
        b.embedding_backward(&mut d_table.buf, &Floats::new(b, &self.d_out).buf, &tokens.buf, t, v, d).unwrap();
        vec![out("out", rows.read(b)), out("d_table", d_table.read(b))]
    }
    fn reference(&self) -> Vec<(Vec<f64>, Tolerance)> {
        let d = self.d;
        let mut rows = Vec::new();
        let mut d_table = f64s(&self.before);
        for (t, &token) in self.tokens.iter().enumerate() {
            for j in 0..d {
                rows.push(self.table[token as usize * d + j] as f64);
                d_table[token as usize * d + j] += self.d_out[t * d + j] as f64;
            }
        }
        vec![(rows, EXACT), (d_table, rounding(self.tokens.len()))]
    }
    fn inputs(&mut self) -> Vec<&mut Vec<f32>> {
        if self.tokens.is_empty() { Vec::new() } else { vec![&mut self.table, &mut self.d_out] }
    }
}

#[test]
fn embedding() {
    check(cases());
}

#[test]
fn refuses_a_token_outside_the_vocabulary() {
    fn refuses<B: Backend>(b: &B, token: i32) {
        let (mut rows, table) = (Floats::new(b, &[3.0; 4]), Floats::new(b, &[0.0; 8]));
        let error = b.embedding_forward(&mut rows.buf, &table.buf, &Ints::new(b, &[3, token]).buf, 2, 4, 2).unwrap_err();
        assert_eq!(error.to_string(), format!("Cannot embed token {token} at position 1: ids must be in 0..4"));
        rows.read(b);
    }
    for token in [-1, 4] {
        refuses(&cpus()[1], token);
        on_emulator(|emulator| refuses(emulator.with(0, Precision::F32), token));
    }
}

#[test]
fn gradients() {
    let b = &cpus()[1];
    for case in cases() {
        let (t, v, d) = (case.tokens.len(), case.v, case.d);
        let mut d_table = Floats::new(b, &vec![0.0; v * d]);
        let (d_out, tokens) = (Floats::new(b, &case.d_out), Ints::new(b, &case.tokens));
        b.embedding_backward(&mut d_table.buf, &d_out.buf, &tokens.buf, t, v, d).unwrap();
        check_gradient(&case.label(), &case.table, &d_table.read(b), rounding(t), |table| {
            let rows: Vec<f64> = case.tokens.iter().flat_map(|&token| table[token as usize * d..][..d].to_vec()).collect();
            dot(&rows, &case.d_out)
        });
    }
}

#[test]
fn a_negative_token_adds_no_gradient() {
    fn run<B: Backend>(b: &B) -> Vec<f32> {
        let (mut d_table, d_out) = (Floats::new(b, &[0.0; 4]), Floats::new(b, &[1.0, 2.0, 3.0, 4.0]));
        b.embedding_backward(&mut d_table.buf, &d_out.buf, &Ints::new(b, &[-1, 1]).buf, 2, 2, 2).unwrap();
        d_table.read(b)
    }
    assert_eq!(run(&cpus()[1]), [0.0, 0.0, 3.0, 4.0]);
    on_emulator(|emulator| assert_eq!(run(emulator.with(0, Precision::F32)), [0.0, 0.0, 3.0, 4.0]));
}
