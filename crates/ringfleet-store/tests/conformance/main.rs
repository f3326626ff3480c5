//! What every store does, told as one list of behaviours and run against each of them.
//!
//! A test takes a [`Subject`]: an empty store whose clock stands until the test moves it. Most of them use the words of
//! [`talk`], so that a test reads as what producers and workers do.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

#[path = "../harness/mod.rs"]
mod harness;
mod talk;

mod cancelling;
mod crashes;
mod credits;
mod delivering;
mod documents;
mod evidence;
mod expiry;
mod explaining;
mod fairness;
mod intake;
mod opting_out;
mod pairs;
mod penalties;
mod plans;
mod privacy;
mod reasserting;
mod reconciling;
mod resolving;
mod schedule;
mod sessions;
mod settling;
mod slots;
mod stops;
mod tokens;
mod views;
mod waking;
mod window;

/// Runs every behaviour against every store: `redis::window::a_slot_in_use_never_frees` and so on.
macro_rules! behaviours {
    ($($topic:ident { $($name:ident)* })*) => {
        behaviours!(@of sqlite Sqlite $($topic { $($name)* })*);
        behaviours!(@of redis Redis $($topic { $($name)* })*);
        behaviours!(@of cluster Cluster $($topic { $($name)* })*);
    };
    (@of $store:ident $backend:ident $($topic:ident { $($name:ident)* })*) => {
        mod $store {
            $(mod $topic {
                $(#[tokio::test]
                async fn $name() {
                    let subject = crate::talk::subject(crate::harness::Backend::$backend).await;
                    crate::$topic::$name(&subject).await;
                })*
            })*
        }
    };
}

behaviours! {
    intake {
        what_goes_in_comes_out_unchanged
        a_repeated_key_is_a_duplicate
        a_repeated_key_within_one_batch_is_a_duplicate
        a_key_with_other_content_is_a_conflict
        a_key_in_another_lane_is_a_conflict
        raising_the_priority_of_a_known_message_changes_nothing
        messages_without_a_key_are_never_duplicates
        a_final_message_still_holds_its_key
        a_forgotten_message_gives_its_key_back
        five_hundred_messages_go_in_at_once
        odd_characters_survive_or_are_refused
    }
    schedule {
        a_message_is_not_given_out_before_its_time
        scheduled_messages_come_in_the_order_of_their_times
        an_idle_worker_is_told_the_exact_time_of_the_next_message
        a_scheduled_message_waits_behind_those_already_ready
        lanes_that_are_due_soon_are_told_with_their_first_time
        ten_thousand_messages_due_at_one_instant_all_go_out_in_order
        a_time_in_the_past_means_now
    }
    fairness {
        higher_priorities_go_first_and_equals_keep_their_order
        lanes_take_turns
        a_lane_that_was_served_goes_behind_the_others
        a_full_lane_does_not_delay_its_neighbour
        a_lane_has_no_more_in_flight_than_its_cap
        a_worker_gets_no_more_than_it_has_hands_for
        one_claim_gives_out_no_more_than_128
        dead_entries_at_the_head_do_not_stall_a_lane
    }
    window {
        the_whole_limit_goes_at_once_and_not_one_more
        a_slot_frees_exactly_one_hold_after_its_answer
        a_slot_in_use_never_frees
        the_time_on_the_way_to_the_store_is_not_added
        each_slot_has_its_own_time
        a_released_message_gives_its_slot_back_at_once
        a_slot_of_a_message_that_was_begun_stays_taken_whatever_is_reported
        a_slot_of_a_lost_worker_frees_a_hold_after_its_lease
        a_late_report_moves_its_slot_to_the_time_of_its_answer
        the_steady_rate_is_the_whole_plan
    }
    plans {
        a_learnt_limit_replaces_the_rule
        a_lower_limit_waits_until_enough_slots_are_free
        a_longer_window_moves_slots_already_timed
        a_shorter_window_frees_slots_sooner
        a_low_remaining_takes_slots_for_others
        answers_to_one_burst_tell_of_others_only_once
        headers_of_an_older_request_are_not_heard
        a_learnt_plan_is_known_to_every_process
        a_longer_window_told_to_a_single_request_moves_its_slots
        an_absurd_limit_does_not_hang_the_store
    }
    penalties {
        a_throttled_message_returns_to_the_head_untouched
        a_penalty_ends_by_its_deadline
        after_a_penalty_one_probe_goes_then_all
        an_answer_from_before_the_penalty_does_not_end_the_probe
        a_penalty_is_never_shortened
        a_message_in_hand_goes_back_when_the_lane_is_in_a_penalty
        a_not_sent_message_returns_to_the_head_and_its_lane_waits
        a_not_sent_message_without_delay_goes_again_at_once
        a_throttled_lane_leaves_its_neighbour_alone
    }
    settling {
        a_sent_message_is_final_and_its_text_is_gone
        a_rejected_message_keeps_its_code
        an_unknown_fate_is_held
        a_retry_burns_an_attempt_and_waits_its_delay
        a_retry_dies_at_its_last_attempt
        a_settlement_repeated_says_so
        a_released_message_is_as_if_never_claimed
        a_message_released_after_its_intent_is_held
        a_late_report_decides_a_held_message
        a_late_report_without_evidence_decides_nothing
        a_report_of_a_lease_that_went_on_changes_nothing
        a_refusal_of_the_lane_counts_whatever_became_of_its_message
        a_refusal_of_the_lane_counts_of_a_message_that_was_sent_before
        an_unheard_of_message_is_missing
        five_hundred_outcomes_are_settled_at_once
    }
    crashes {
        a_lease_that_ends_before_the_intent_puts_the_message_back
        a_message_that_killed_three_workers_dies_with_the_fourth
        a_lease_that_ends_after_the_intent_holds_the_message
        a_held_message_is_never_claimed_again
        an_ended_lease_permits_nothing_even_before_the_reaper_came
        begin_send_asked_twice_says_go_twice
        the_lease_of_another_worker_permits_nothing
        an_extended_lease_is_kept
        an_ended_lease_is_not_revived
        beginning_renews_the_lease
        a_report_counts_though_the_lease_ended_if_nobody_reaped
        the_reaper_takes_no_more_than_it_is_told
    }
    expiry {
        a_message_past_its_time_is_not_claimed
        a_message_at_the_very_end_of_its_time_still_goes
        a_message_past_its_time_is_not_begun
        the_reaper_closes_messages_past_their_time
        a_scheduled_message_can_pass_its_time
        a_lane_that_stands_shows_nothing_of_what_has_ended
        however_many_have_ended_a_lane_that_stands_shows_none_of_them_for_long
        a_message_in_hand_is_not_expired_by_the_reaper
        a_requeued_message_past_its_time_expires
    }
    cancelling {
        a_waiting_message_can_be_cancelled
        a_scheduled_message_can_be_cancelled
        a_message_in_hand_is_too_late_to_cancel
        a_final_message_is_too_late_to_cancel
        an_unknown_message_is_missing
        a_cancelled_key_is_still_a_duplicate
        a_message_enqueued_anew_does_not_go_at_its_old_place_in_time
        a_message_enqueued_anew_waits_out_its_retry
    }
    stops {
        a_paused_lane_gives_nothing_and_goes_on_later
        a_parked_lane_gives_nothing_and_goes_on_later
        what_was_learnt_before_a_lane_was_let_go_on_does_not_park_it_again
        a_message_in_hand_goes_back_when_its_lane_is_paused_or_parked
        parking_by_outcome_stops_the_lane
        the_kill_switch_stops_claims_and_intents
        a_gate_until_opens_by_itself
        a_penalty_of_the_fleet_never_opens_the_kill_switch
        opening_the_kill_switch_does_not_end_a_penalty_that_came_under_it
        a_penalty_of_the_fleet_is_never_shortened
        what_is_put_back_keeps_its_slot_free
        nothing_is_decided_behind_a_closed_gate
    }
    slots {
        an_auth_lane_grants_five_and_says_when_the_sixth_may_go
        a_slot_not_released_frees_after_its_hold_and_window
        nobody_waits_for_a_request_under_way_longer_than_its_window
        an_unused_slot_is_free_at_once
        a_throttled_request_stops_its_lane
        messages_and_requests_share_a_window
        no_slot_is_granted_while_the_gate_is_closed
        the_kill_switch_lets_logins_through_and_the_providers_penalty_does_not
    }
    sessions {
        the_first_asker_renews_and_the_others_wait
        a_stored_session_is_valid_for_all
        a_session_is_renewed_when_its_time_comes
        a_session_is_renewed_early_for_who_asks_for_it
        a_generation_known_to_be_bad_is_renewed
        a_lock_that_timed_out_passes_to_the_next
        a_slow_renewer_does_not_overwrite_a_newer_session
        a_failed_renewal_lets_the_next_try_at_once
        a_refused_credential_stays_refused_and_the_next_one_is_tried
        a_session_that_nobody_can_renew_is_used_to_its_end
        a_lane_that_goes_on_has_its_credential_tried_again
        a_lane_that_goes_on_with_another_credential_leaves_the_refused_one_alone
        a_refusal_of_before_the_lane_was_let_go_on_is_not_heard
        a_loser_of_the_race_does_not_kill_the_credential
        nothing_begins_with_a_token_whose_renewal_has_begun
        a_send_whose_worker_died_holds_no_renewal_up_once_it_is_reaped
        sessions_show_how_long_they_live_and_what_was_refused
        extensions_have_sessions_of_their_own
    }
    views {
        counts_add_up_through_a_whole_life
        old_records_are_removed_and_counted
        a_held_message_is_never_removed
        a_lane_shows_its_numbers
        lanes_are_listed_by_their_oldest_message
        held_and_dead_messages_are_listed_newest_first
        stats_tell_what_is_eligible
        a_message_tells_its_history
    }
    explaining {
        a_waiting_message_knows_how_many_go_before_it
        a_scheduled_message_counts_those_of_its_lane_that_are_due_before_it
        a_long_schedule_is_counted_to_its_end
        what_is_told_is_when_it_goes
        a_penalty_is_told_and_so_is_the_probe_after_it
        a_full_window_is_told_with_the_time_at_which_it_has_a_place
        stops_are_told_with_what_ends_them
        a_message_whose_recipient_is_busy_names_the_other_one
        a_message_in_hand_names_its_worker_and_since_when
        an_unknown_fate_tells_how_often_and_when_it_is_looked_up
        what_is_over_says_since_when_and_why
        workers_are_told_of_while_they_show_themselves
        a_lane_that_nobody_used_is_idle
        asking_changes_nothing_and_tells_nothing_private
    }
    waking {
        work_from_another_handle_wakes_a_sleeper
        a_hint_taken_before_the_work_came_is_not_lost
        opening_a_lane_wakes_a_sleeper
        the_store_answers_and_says_what_it_is
    }
    privacy {
        nothing_private_is_printed
    }
    reconciling {
        an_unknown_fate_is_asked_about
        a_fate_becomes_unknown_in_three_ways
        a_lane_goes_on_beside_its_unknown_sends
        an_unknown_message_neither_expires_nor_is_cancelled_nor_forgotten
        an_unknown_fate_that_does_not_matter_is_sent_again_at_once
        a_lane_is_looked_at_half_a_second_after_its_first_unknown_send
        what_is_taken_has_all_that_can_be_compared
        a_lane_that_was_taken_is_not_given_again_before_its_lock_ends
        a_lock_ends_with_the_last_unknown_send
        no_more_lanes_are_taken_than_asked_for_and_each_by_one
        a_hundred_of_a_lane_are_read_at_once_the_longest_unknown_first
        one_match_proves_the_sending
        several_matches_are_for_a_person
        absence_is_proven_by_two_readings_the_last_after_the_settle_time
        two_early_readings_prove_nothing
        a_lane_that_was_read_is_looked_at_when_its_settle_time_is_over
        what_never_arrives_is_dead_after_its_last_attempt
        what_cannot_be_decided_is_for_a_person
        what_was_decided_meanwhile_is_stale
        the_intent_of_the_first_attempt_is_kept_through_all_of_them
        unknown_sends_are_listed
        what_is_sent_again_wakes_a_sleeper
    }
    credits {
        evidence_of_many_is_decided_at_once_and_in_order
        a_text_that_proved_another_sending_proves_nothing
        within_one_decision_a_text_proves_one_sending_only
        a_credit_outlives_the_record_of_its_message
    }
    pairs {
        one_of_a_pair_goes_at_a_time_and_the_others_do_not_hold_up_their_lane
        those_put_off_come_back_by_deadline_and_in_order
        another_sender_or_another_recipient_is_another_pair
        a_pair_is_busy_across_the_lanes_of_an_extension
        the_end_of_its_holder_frees_the_pair_however_it_comes
        a_holder_that_expires_or_is_held_frees_the_pair
        a_hundred_to_a_busy_recipient_do_not_stall_their_lane
        one_put_off_can_expire_and_be_cancelled
        an_urgent_one_waits_for_its_pair_too
        a_second_holder_found_late_keeps_the_pair_busy
        a_text_that_may_be_its_twins_counts_for_neither_until_that_one_has_told
        a_text_that_may_be_of_either_of_two_unknown_sends_is_for_a_person
    }
    evidence {
        a_late_report_decides_an_unknown_send
        a_late_report_without_evidence_decides_no_unknown_send
        a_sending_told_late_counts_whatever_was_believed
        a_sending_told_late_takes_the_message_from_who_holds_it
        a_sending_told_while_another_is_under_way_is_told_as_twice
        the_proof_of_an_older_sending_outlasts_a_later_one_of_unknown_fate
        a_sending_told_of_a_sent_message_is_the_same_or_one_too_many
        an_id_told_after_a_persons_word_is_kept
        a_doubt_told_late_counts_by_the_messages_policy
        a_doubt_of_a_story_that_is_closed_changes_nothing
        what_was_proven_absent_and_was_sent_after_all_counts
        a_report_of_a_send_whose_intent_the_store_lost_takes_effect
        a_late_sending_takes_its_slot_again
        a_newer_sending_counts_against_an_older_one_that_seems_under_way
        a_message_that_was_sent_before_ends_as_sent
    }
    tokens {
        tokens_are_made_of_the_time_and_grow
        no_token_is_given_out_twice_though_the_counter_is_lost
    }
    resolving {
        a_held_message_can_be_sent_again
        a_held_message_can_be_closed_as_sent_or_cancelled
        a_dead_message_can_only_be_sent_again
        what_is_neither_held_nor_dead_is_too_late
        an_unheard_of_message_cannot_be_resolved
        a_message_without_a_text_cannot_be_sent_again
        a_message_sent_again_by_a_person_expires_as_before
    }
    reasserting {
        beside_a_send_that_is_under_way_no_policy_sends_again
        a_send_told_before_its_intent_is_given_back_when_the_intent_is_refused
        what_is_told_again_has_its_place_in_the_window_though_the_store_has_lost_it
        what_the_store_knows_is_settled_once_more
        a_lost_message_that_was_sent_is_on_record_again
        a_lost_message_whose_fate_is_unknown_is_held
        a_record_without_a_text_never_goes_to_a_queue
        a_lost_message_that_was_not_sent_leaves_no_record
        a_refusal_told_again_stops_the_lane_though_its_message_is_lost
        a_record_stands_for_any_content_of_its_key
        a_record_is_forgotten_like_any_other
        one_journal_may_tell_of_one_lost_message_twice
        a_long_journal_is_told_in_one_call
    }
    opting_out {
        a_message_to_who_opted_out_is_taken_and_ends_at_once
        an_opt_out_between_claim_and_send_stops_the_send
        an_opt_out_after_the_intent_does_not_undo_it
        a_message_that_comes_back_is_judged_anew
        a_stopped_fleet_suppresses_all_the_same
        a_send_proven_absent_is_not_sent_again_to_who_opted_out
        a_send_found_is_sent_though_its_recipient_opted_out
        a_policy_to_send_again_is_not_followed_after_an_opt_out
        a_person_cannot_send_again_to_who_opted_out
        an_opt_out_reaches_as_far_as_it_says
        lifting_one_opt_out_lifts_no_other
        opt_outs_are_listed_page_by_page
        a_number_that_no_message_can_have_is_refused
        a_suppressed_message_is_forgotten_like_any_other
    }
    delivering {
        a_report_ends_a_sent_message_as_delivered_or_not
        a_repeated_report_changes_nothing
        a_report_of_an_opt_out_is_heard_once
        a_report_of_another_text_is_unknown
        a_message_waits_for_its_report_so_long_and_no_longer
        the_reaper_forgets_few_reports_at_a_time
        lanes_are_looked_at_soon_after_a_send_and_then_ever_rarer
        who_is_given_a_lane_is_alone_with_it_for_its_lock
        no_more_lanes_are_given_than_asked_for
        a_lane_that_waits_for_nothing_is_not_looked_at
        since_lies_before_every_sending
        a_delivered_message_stays_what_it_is
        its_text_still_proves_no_other_sending
        a_delivered_message_is_forgotten_so_long_after_its_sending
        a_record_made_of_what_a_worker_knew_waits_too
        a_message_closed_by_a_person_waits_for_no_report
        nothing_is_remembered_where_nobody_waits
        five_thousand_reports_are_told_in_one_call
    }
    documents {
        a_document_comes_back_as_it_was_put
        kinds_are_kept_apart
        a_change_on_top_of_another_revision_is_a_conflict
        of_two_that_change_one_revision_one_wins
        a_removed_document_is_gone_and_its_revisions_do_not_come_back
        no_revision_is_given_twice_though_the_counter_is_lost
        a_document_vanishes_by_itself
        a_change_decides_anew_how_long_a_document_lives
        whoever_follows_sees_each_change_once
        a_process_that_comes_late_reads_what_there_is
        a_removal_is_told_for_a_day_and_who_comes_later_begins_anew
        a_reading_of_many_answers_ends_whatever_was_removed_before_it_began
        the_reaper_takes_few_documents_at_a_time
        an_answer_with_large_bodies_is_cut
        too_long_a_key_or_a_body_is_refused
        a_document_prints_neither_key_nor_body
    }
}
