// Package policies evaluates Rego policies on reviews of API requests, as a pure function: no network,
// no clock, no state but the compiled [Set].
//
// A policy is one .rego file with a METADATA annotation on its package, gatehouse.policy.NAME, that says
// what it matches and does. A validate policy defines deny, a mutate policy patch (RFC 6902 operations), an
// authorize policy deny on a request before its body is read. Files of package gatehouse.lib.* are helpers. The
// embedded library is available to every set; the file policies.yaml turns policies on and off and gives
// parameters.
//
// An [Engine] holds the current set behind an atomic pointer. A policy that does not match a review is never
// evaluated: candidates are found in an index by operation, group, kind and subresource, so the cost of a review
// does not grow with the number of policies that are not about it.
//
// What fails is refused: a builtin error, a timeout, a panic and an overloaded or empty engine count as a violation of the
// policy, with the policy's own action, unless its failurePolicy is Ignore. Sources, parameters, messages, patches
// and concurrent evaluations are bounded. Policies are trusted not to be hostile: only builtins that
// can neither reach outside nor outrun cancellation by much may be called, but the memory of an evaluation is
// bounded by its deadline only.
package policies
