//! Dispatch plan, permute, combine.

use crate::common::*;
use bowline::backend::Backend;

#[derive(Clone)]
struct Dispatch {
    t: usize,
    k: usize,
    e: usize,
    d: usize,
    ids: Vec<i32>,
    x: Vec<f32>,
    rows: Vec<f32>,
    before: Vec<f32>,
}

fn cases() -> Vec<Dispatch> {
    let mut rng = Rng(13);
    // (T, K, E, D, hot expert): empty, one expert, typical, K = E, all tokens on one expert, experts without tokens, odd width
    [
        (0, 2, 4, 3, None),
        (5, 1, 1, 2, None),
        (300, 4, 16, 128, None),
        (40, 5, 5, 7, None),
        (130, 1, 8, 65, Some(6)),
        (3, 2, 64, 130, Some(63)),
        (700, 8, 64, 20, Some(0)),
    ]
    .map(|(t, k, e, d, hot)| Dispatch {
        t,
        k,
        e,
        d,
        ids: random_ids(&mut rng, t, k, e, hot),
        x: rng.values(t * d),
        rows: rng.values(t * k * d),
        before: rng.values(t * d),
    })
    .to_vec()
}

impl Case for Dispatch {
    fn label(&self) -> String {
        format!("dispatch T={} K={} E={} D={}", self.t, self.k, self.e, self.d)
    }
    fn run<B: Backend>(&self, b: &B) -> Vec<Out> {
        let Dispatch { t, k, e, d, .. } = *self;
        let plan = make_plan(b, &self.ids, k, e);
        let mut permuted = Floats::new(b, &vec![4.0; t * k * d]);
        b.permute(&mut permuted.buf, &Floats::new(b, &self.x).buf, &plan, t, k, d).unwrap();
        let mut combined = Floats::new(b, &self.before);
        b.combine(&mut combined.buf, &Floats::new(b, &self.rows).buf, &plan, t, k, d).unwrap();
        let parts = [("offsets", plan.offsets, e + 1), ("slot_of_row", plan.slot_of_row, t * k), ("row_of_slot", plan.row_of_slot, t * k)];
        let mut outs = vec![out("permute", permuted.read(b)), out("combine", combined.read(b))];
        for (name, buf, n) in parts {
            outs.push(out(name, Ints::<B>::wrap(buf, n).read(b).iter().map(|&v| v as f32).collect()));
        }
        outs
    }
    fn reference(&self) -> Vec<(Vec<f64>, Tolerance)> {
        let Dispatch { t, k, e, d, .. } = *self;
        let slots = slots_by_expert(&self.ids);
        let mut rows = vec![0.0; t * k];
        let (mut permuted, mut combined) = (Vec::new(), f64s(&self.before));
        for (row, &slot) in slots.iter().enumerate() {
            rows[slot] = row as f64;
            permuted.extend(f64s(&self.x[slot / k * d..][..d]));
            for j in 0..d {
                combined[slot / k * d + j] += self.rows[row * d + j] as f64;
            }
        }
        let offsets = (0..=e).map(|e| self.ids.iter().filter(|&&id| (id as usize) < e).count() as f64).collect();
        let slots = slots.iter().map(|&slot| slot as f64).collect();
        vec![(permuted, EXACT), (combined, rounding(k)), (offsets, EXACT), (slots, EXACT), (rows, EXACT)]
    }
    fn inputs(&mut self) -> Vec<&mut Vec<f32>> {
        vec![&mut self.x, &mut self.rows]
    }
}

#[test]
fn dispatch() {
    check(cases());
}

#[test]
fn permute_then_combine_is_k_times() {
    let b = &cpus()[1];
    for case in cases() {
        let Dispatch { t, k, e, d, .. } = case;
        // multiples of 1/256: sums of K of them are exact
        let x: Vec<f32> = case.x.iter().map(|v| (v * 256.0).round() / 256.0).collect();
        let plan = make_plan(b, &case.ids, k, e);
        let mut rows = Floats::new(b, &vec![0.0; t * k * d]);
        b.permute(&mut rows.buf, &Floats::new(b, &x).buf, &plan, t, k, d).unwrap();
        let mut y = Floats::new(b, &vec![0.0; t * d]);
        b.combine(&mut y.buf, &rows.buf, &plan, t, k, d).unwrap();
        let want: Vec<f64> = x.iter().map(|&v| k as f64 * v as f64).collect();
        within(&case.label(), &y.read(b), &want, EXACT).unwrap();
    }
}

#[test]
fn the_two_maps_are_inverse() {
    let b = &cpus()[0];
    for case in cases() {
        let n = case.t * case.k;
        let plan = make_plan(b, &case.ids, case.k, case.e);
        let [slots, rows] = [plan.slot_of_row, plan.row_of_slot].map(|buf| Ints::wrap(buf, n).read(b));
        assert!((0..n).all(|slot| slots[rows[slot] as usize] as usize == slot), "{}", case.label());
        assert!((0..n).all(|row| rows[slots[row] as usize] as usize == row), "{}", case.label());
    }
}

/// Each is the other's backward: `permute` of the gradient of what `combine` adds up, and `combine` of that of permuted rows.
#[test]
fn gradients() {
    let (b, mut rng) = (&cpus()[1], Rng(14));
    for case in cases() {
        let Dispatch { t, k, e, d, .. } = case;
        let (plan, slots) = (make_plan(b, &case.ids, k, e), slots_by_expert(&case.ids));
        let (d_rows, d_out) = (rng.values(t * k * d), rng.values(t * d));
        let mut d_x = Floats::new(b, &vec![0.0; t * d]);
        b.combine(&mut d_x.buf, &Floats::new(b, &d_rows).buf, &plan, t, k, d).unwrap();
        check_gradient(&format!("{} permute", case.label()), &case.x, &d_x.read(b), rounding(k), |x| {
            let rows: Vec<f64> = slots.iter().flat_map(|slot| x[slot / k * d..][..d].to_vec()).collect();
            dot(&rows, &d_rows)
        });
        let mut back = Floats::new(b, &vec![0.0; t * k * d]);
        b.permute(&mut back.buf, &Floats::new(b, &d_out).buf, &plan, t, k, d).unwrap();
        check_gradient(&format!("{} combine", case.label()), &case.rows, &back.read(b), rounding(1), |rows| {
            let mut sums = vec![0.0; t * d];
            for (row, slot) in slots.iter().enumerate() {
                (0..d).for_each(|j| sums[slot / k * d + j] += rows[row * d + j]);
            }
            dot(&sums, &d_out)
        });
    }
}
