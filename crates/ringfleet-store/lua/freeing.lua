-- SEND-SAFETY: stands first in the scripts that `scripts.rs` marks `freeing`, so in all that a send needs. A script whose first
-- write frees memory may write on when Redis is full; without it a text that was sent could not be settled, and somebody would
-- send it again.
call('DEL', T..':nothing')
