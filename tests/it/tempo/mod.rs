//! The local Tempo, on which MPP's `tempo` rails are tested.

mod ground;
