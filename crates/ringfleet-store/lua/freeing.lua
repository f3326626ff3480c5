-- SEND-SAFETY: stands first in every script but enqueue. A script whose first write frees memory may write on when
-- Redis is full; without it a text that was sent could not be settled, and somebody would send it again.
call('DEL', T..':nothing')
