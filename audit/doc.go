// Package audit records what every request did, in a log that shows when it was changed.
//
// Events have the form of audit.k8s.io/v1, one JSON object per line, so tools that read the log of a
// kube-apiserver read this one. Each line carries one more top-level member, "gatehouse", which
// chains it to the line before it, and a signed checkpoint beside the log says how far the chain
// had come.
//
// # Promise
//
//   - [Record.Received] of a request that can change something returns only when its RequestReceived line is on
//     stable storage. If that cannot be done, the request is refused and must not be executed.
//   - No record is dropped. Records that nobody waits for are queued, and whoever adds to a full queue waits. A flood of
//     refusals is summed up: events say how many refusals they stand for, and the numbers add up to all of them.
//   - A line that is changed, removed, added, repeated or moved is found by verification, with file and line number.
//   - A log cut short is found, if the cut reaches back to the last checkpoint.
//   - Bodies of secrets, service account tokens and token reviews are never written, whatever the policy says;
//     token-like query parameters and the command of an exec are replaced.
//
// # Limits
//
// A checkpoint is written at most once a second, so records of the last second before a crash can be cut off
// by whoever may write the files, without a trace in the chain. Whoever holds the signing key, or can
// put back an older log together with its older checkpoint, can rewrite the end of history; copy the checkpoint to another
// machine to rule that out. A policy that does not record a write at all (level None) gives up the first promise for that write.
// One that omits the stage RequestReceived does not: for what can change something, or opens a way into a pod or node, that
// line is written all the same, and [Open] and [Log.SetPolicy] warn of such a policy. ResponseComplete lines become durable
// within a second; one that is lost in a crash is replaced at the next start by a line whose outcome is "unknown", as long as
// its RequestReceived line is within the last [RecoveryWindowBytes] of the log. Refusals that wait to be summed up, those of
// the last second, are lost in a crash.
package audit
