// The list, by topic; see fates.rs for what becomes of sends whose fate is unknown, and for what comes after a send.

behaviours! {
    sqlite, redis, cluster:
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
        a_plan_that_is_told_as_configured_counts_for_those_with_another_configuration
        a_window_told_for_the_first_time_frees_no_slot_of_another_process_sooner
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
        a_zero_byte_in_a_providers_word_does_not_end_it
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
    quiet {
        a_message_put_off_waits_as_scheduled_and_burns_nothing
        a_lane_of_sleepers_puts_each_off_once_and_the_others_go
        what_was_put_off_is_due_from_the_end_of_its_quiet_hours_on
        a_put_off_message_can_pass_its_time
        a_put_off_message_can_be_taken_back
        a_put_off_that_is_told_again_changes_nothing
        a_put_off_leaves_what_is_known_of_earlier_sends
        an_older_send_that_a_journal_tells_of_is_heard_after_a_put_off
        a_message_that_was_put_off_says_why_and_until_when
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
        a_message_enqueued_anew_is_in_one_hand_only
        a_message_enqueued_anew_in_another_lane_does_not_go_in_that_of_before
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
        what_waits_in_a_lane_is_listed_by_priority_and_then_what_is_scheduled
        a_long_queue_and_a_long_schedule_are_listed_page_by_page
        stats_tell_what_is_eligible
        nothing_is_eligible_while_the_gate_is_closed
        lanes_that_stand_are_in_a_sample_as_often_as_in_the_fleet
        a_message_tells_its_history
    }
    listing {
        what_has_ended_is_listed_by_its_state_newest_first
        a_list_goes_on_behind_its_last_message_though_that_has_left_it
        a_page_looks_at_five_hundred_records_and_the_next_one_goes_on_there
        what_ended_before_a_time_is_left_out_of_a_list
    }
    following {
        all_that_ends_or_is_held_is_told_once_in_its_order
        many_changes_of_one_instant_are_told_once_each
        what_is_younger_than_three_seconds_is_left_to_the_next_reading
        a_message_whose_state_changes_again_is_told_again
        one_that_has_left_its_end_is_told_when_it_comes_to_the_next
        who_begins_is_told_nothing_of_before_and_who_goes_back_all_of_it
        a_report_brings_its_message_to_the_time_at_which_it_came
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
}
