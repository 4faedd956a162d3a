//! Places by the variables of each launcher.

use std::collections::HashMap;

use bowline::comm::{Launcher, Place};

fn read(variables: &[(&str, &str)]) -> Result<Place, String> {
    let map: HashMap<_, _> = variables.iter().copied().collect();
    Place::read(|name| map.get(name).map(|value| value.to_string())).map_err(|error| error.to_string())
}

const TORCHRUN: [(&str, &str); 5] =
    [("RANK", "5"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "1"), ("MASTER_ADDR", "node7"), ("MASTER_PORT", "4000")];
const OPEN_MPI: [(&str, &str); 4] = [
    ("OMPI_COMM_WORLD_RANK", "1"),
    ("OMPI_COMM_WORLD_SIZE", "4"),
    ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
    ("OMPI_COMM_WORLD_LOCAL_SIZE", "4"),
];
const SLURM: [(&str, &str); 5] = [
    ("SLURM_PROCID", "3"),
    ("SLURM_NTASKS", "4"),
    ("SLURM_LOCALID", "1"),
    ("SLURM_STEP_ID", "0"),
    ("SLURM_LAUNCH_NODE_IPADDR", "10.0.0.1"),
];

fn place(rank: usize, world: usize, local_rank: usize, launcher: Launcher, host: &str, port: u16) -> Result<Place, String> {
    Ok(Place { rank, world, local_rank, launcher, master: Some((host.into(), port)) })
}

#[test]
fn each_launcher_is_understood() {
    assert_eq!(read(&[]), Ok(Place::alone()));
    assert_eq!(read(&TORCHRUN), place(5, 8, 1, Launcher::Torchrun, "node7", 4000));
    assert_eq!(read(&OPEN_MPI), place(1, 4, 1, Launcher::OpenMpi, "127.0.0.1", 29500));
    assert_eq!(read(&SLURM), place(3, 4, 1, Launcher::Slurm, "10.0.0.1", 29500));
    let pmi = [("PMI_RANK", "0"), ("PMI_SIZE", "2"), ("MPI_LOCALRANKID", "0"), ("MASTER_ADDR", "a")];
    assert_eq!(read(&pmi), place(0, 2, 0, Launcher::Pmi, "a", 29500));
}

#[test]
fn torchrun_comes_first() {
    assert_eq!(read(&[TORCHRUN.as_slice(), &OPEN_MPI, &SLURM].concat()), read(&TORCHRUN));
    assert_eq!(read(&[OPEN_MPI.as_slice(), &SLURM].concat()), read(&OPEN_MPI));
}

#[test]
fn the_script_of_a_slurm_job_is_alone() {
    assert_eq!(read(&[SLURM[0], SLURM[1], SLURM[2]]), Ok(Place::alone()));
}

#[test]
fn ranks_on_several_machines_need_an_address() {
    let several = [&OPEN_MPI[..3], &[("OMPI_COMM_WORLD_LOCAL_SIZE", "2")]].concat();
    assert_eq!(read(&several).map(|place| place.master), Ok(None));
}

#[test]
fn half_a_place_names_what_is_missing() {
    for (variables, left_out) in [
        (TORCHRUN.as_slice(), "RANK"),
        (&TORCHRUN, "WORLD_SIZE"),
        (&TORCHRUN, "LOCAL_RANK"),
        (&TORCHRUN, "MASTER_ADDR"),
        (&TORCHRUN, "MASTER_PORT"),
        (&OPEN_MPI, "OMPI_COMM_WORLD_SIZE"),
        (&SLURM, "SLURM_NTASKS"),
        (&SLURM, "SLURM_LOCALID"),
    ] {
        let rest: Vec<_> = variables.iter().copied().filter(|(name, _)| *name != left_out).collect();
        let error = read(&rest).expect_err(left_out);
        assert!(error.contains(&format!(" {left_out} is not set")), "{error}");
    }
}

#[test]
fn numbers_that_are_none_are_refused() {
    for (name, value) in
        [("RANK", "8"), ("RANK", "-1"), ("WORLD_SIZE", "0"), ("WORLD_SIZE", "many"), ("MASTER_PORT", "65535"), ("MASTER_PORT", "0")]
    {
        let mut variables = TORCHRUN.to_vec();
        variables.iter_mut().filter(|(n, _)| *n == name).for_each(|variable| variable.1 = value);
        let error = read(&variables).expect_err(name);
        assert!(error.contains(name) && error.contains(value), "{error}");
    }
}
