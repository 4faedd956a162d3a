//! Linear maps in bf16 by cuBLAS, where BOWLINE_CUBLAS names one: the factors of all three products are rounded, the sums are not.

use crate::common::*;
use crate::emulator::on_emulator;
use bowline::backend::Backend;
use bowline::cuda::Precision;
use half::bf16;

#[test]
fn linear_in_bf16() {
    if std::env::var_os("BOWLINE_CUBLAS").is_none_or(|choice| choice == "off") {
        return eprintln!("skip linear_in_bf16: BOWLINE_CUBLAS names no library");
    }
    on_emulator(|emulator| {
        let b = emulator.with(0, Precision::Bf16);
        let mut rng = Rng(23);
        // (R, O, I): single, odd, rows of multiples of 8 elements and one more
        for (rows, o, i) in [(1, 1, 1), (1, 30, 17), (29, 13, 7), (40, 24, 16), (33, 65, 9)] {
            let [x, w, d_out, before_x, before_w] = [rows * i, o * i, rows * o, rows * i, o * i].map(|n| rng.values(n));
            let mut y = Floats::new(b, &vec![f32::NAN; rows * o]);
            let [mut d_x, mut d_w] = [&before_x, &before_w].map(|v| Floats::new(b, v));
            {
                let [x, w, d_out] = [&x, &w, &d_out].map(|v| Floats::new(b, v));
                b.linear_forward(&mut y.buf, &x.buf, &w.buf, rows, o, i).unwrap();
                b.linear_backward_input(&mut d_x.buf, &d_out.buf, &w.buf, rows, o, i).unwrap();
                b.linear_backward_weight(&mut d_w.buf, &d_out.buf, &x.buf, rows, o, i).unwrap();
            }
            let [x, w, d_out] = [x, w, d_out].map(|v| v.iter().map(|&v| bf16::from_f32(v).to_f64()).collect::<Vec<f64>>());
            let label = format!("linear in bf16 R={rows} O={o} I={i}");
            let want = matmul(rows, o, i, |r, c| x[r * i + c], |c, q| w[q * i + c]);
            within(&format!("{label} out"), &y.read(b), &want, rounding(i)).unwrap();
            let added = |sums: Vec<f64>, before: &[f32]| sums.iter().zip(before).map(|(sum, &v)| sum + v as f64).collect::<Vec<f64>>();
            let want = added(matmul(rows, i, o, |r, q| d_out[r * o + q], |q, c| w[q * i + c]), &before_x);
            within(&format!("{label} d_x"), &d_x.read(b), &want, rounding(o)).unwrap();
            let want = added(matmul(o, i, rows, |q, r| d_out[r * o + q], |r, c| x[r * i + c]), &before_w);
            within(&format!("{label} d_w"), &d_w.read(b), &want, rounding(rows)).unwrap();
        }
    });
}
