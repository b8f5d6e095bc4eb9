// Package review reads an audit log after the fact: [Verify] says whether the record is complete and unchanged, [Query]
// finds events in it.
//
// Both stream: memory does not grow with the length of the log. Both only read, and may run while a server
// writes the log. Query does not verify, and reads logs of other servers too, which Verify cannot.
//
// Verify finds every line that is not as it was written, every line that is missing, added, repeated or moved, and an end
// that was cut off before what the checkpoint covers. It cannot find that the whole log and its checkpoint were put back to
// an older state, or that both were made anew by the holder of the signing key; for that, compare with a checkpoint kept elsewhere.
package review
