//! The learning rate over a run: linear warmup, then cosine.

use crate::plan::ScheduleSpec;

/// Part of the peak learning rate at `step` (from 0): `(step+1)/warmup`, then cosine from 1 to `final_fraction` at `steps`.
pub fn factor(schedule: &ScheduleSpec, step: u64) -> f64 {
    if step < schedule.warmup_steps {
        return (step + 1) as f64 / schedule.warmup_steps as f64;
    }
    let length = schedule.steps.saturating_sub(schedule.warmup_steps).max(1);
    let done = ((step - schedule.warmup_steps) as f64 / length as f64).min(1.0);
    schedule.final_fraction + (1.0 - schedule.final_fraction) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
}
