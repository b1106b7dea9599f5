//! Cases for [`ports::OrderStore`]: what a commit does, in [`commits`]; what can be read afterwards, in [`reads`].

mod batch;
mod commits;
mod lists;
mod outcomes;
mod reads;

pub(crate) use batch::place;
pub use batch::{batch, batch_after, in_epoch};
pub use commits::*;
pub use lists::*;
pub use outcomes::*;
pub use reads::*;

/// Makes a test of every case; `$with` hands each a fresh, prepared [`ports::OrderStore`].
#[macro_export]
macro_rules! order_store {
    ($with:path) => {
        $crate::cases!(
            $with,
            order_store,
            [
                a_commit_stores_snapshot_history_and_progress,
                a_later_commit_replaces_snapshots_and_adds_history,
                a_commit_may_move_partitions_alone,
                an_empty_commit_changes_nothing,
                a_large_commit_goes_through,
                a_zombie_is_fenced_and_stores_nothing,
                a_projector_too_far_ahead_is_fenced,
                an_order_never_gives_way_to_an_older_one,
                one_fenced_partition_rolls_back_the_others,
                of_racing_commits_exactly_one_wins,
                commits_of_different_partitions_do_not_disturb_each_other,
                a_partition_that_was_never_bound_takes_nothing,
                announced_only_moves_forward,
                the_chain_and_its_checkpoints_are_kept,
                every_outcome_is_kept,
                every_kind_and_state_is_kept,
                history_is_kept_to_the_microsecond_and_byte,
                progress_starts_at_the_beginning_of_every_partition,
                binding_another_number_of_partitions_is_refused,
                preparing_again_keeps_everything,
                unknown_orders_are_left_out,
                history_comes_in_log_order,
                the_rows_of_a_partition_come_in_pages,
                touched_orders_come_once_in_log_order,
                a_scan_sees_every_order_once_in_order_of_ids,
                orders_are_counted_by_state,
                an_order_and_an_event_are_looked_up_together,
                of_many_repeats_the_first_are_told,
                many_are_looked_up_at_once,
                a_history_comes_in_pages,
                a_record_is_found_where_it_stands,
                orders_are_listed_newest_first_in_pages,
                a_list_has_what_matches_and_nothing_else,
                a_list_shows_orders_as_they_are,
                a_list_tells_instants_apart_by_the_microsecond,
                texts_that_no_order_can_hold_match_none,
                a_store_that_answers_says_so,
            ]
        );
    };
}
