package e2e_test

import (
	"regexp"
	"slices"
)

// accepted are the differences from kube-apiserver that are meant, each with its
// reason. The same list, for readers, is docs/divergences.md.
func accepted() []divergence {
	return slices.Concat(acceptedObjects(), acceptedLater(), acceptedTexts(), acceptedStricter())
}

func accept(where, reason string) divergence {
	return divergence{where: regexp.MustCompile(where), reason: reason}
}

// acceptedObjects are objects that only one of the two makes.
func acceptedObjects() []divergence {
	return []divergence{
		accept(`^rbac clusterroles\.items\.\[/(admin|edit|view)\]\.rules$`, "the server aggregates roles itself, because no controller manager need be running"),
		accept(`^discovery /version\.(gitVersion|gitCommit|buildDate)$`, "it says which server answers"),
		accept(`^etcd\.\[/registry/(leases/kube-system/apiserver-|peerserverleases/)`, "there is no lease of the server's identity: servers do not proxy to each other"),
	}
}

// acceptedLater are parts of the API that are not there yet.
func acceptedLater() []divergence {
	const extension = "custom resources and aggregated servers are not there yet"
	return []divergence{
		accept(`(apiextensions|apiregistration)\.k8s\.io`, extension),
		accept(`^create objects\.\[Warning: this server (stores|has its own limits)`, "who writes an object that has no effect here is told so"),
	}
}

// acceptedTexts are messages in other words; status and reason are the same.
func acceptedTexts() []divergence {
	const (
		goTypes = "the message does not name Go types or source files of the server"
		own     = "the message says more, or the same in other words"
	)
	return []divergence{
		accept(`^answer to (half of an object|an array|a word)\.body\.message$`, "the body is not repeated in the message"),
		accept(`^answer to (another kind|another version|a delete with another kind|a JSON patch that is no array)\.body\.message$`, goTypes),
		accept(`^answer to impersonation of groups alone\.body\.message$`, goTypes),
		accept(`^answer to a merge (with an unknown field, strict|of another kind|of another type)\.body`, "the object is not repeated in the message"),
		accept(`^answer to (a limit that is no number|a list at a version that is none|a page after garbage)\.body\.message$`, own),
		accept(`^answer to a delete of another (uid|version)\.body`, own),
		accept(`^answer to another uid\.body\.message$`, own),
		accept(`^answer to an answer in YAML\.body$`, "managedFields are not kept yet, and YAML is compared as text"),
	}
}

// acceptedStricter are requests that Gatehouse refuses, or answers with less, for
// the sake of safety or of a truer status.
func acceptedStricter() []divergence {
	return []divergence{
		accept(`^answer to (a path with empty segments|an encoded slash in a name)\.`, "a path with two readings is refused before anything is decided on it"),
		accept(`^answer to a review of a (good|forged) token\.body\.spec\.token$`, "a token is not sent back"),
		accept(`^answer to impersonation by who may not\.body`, "constrained impersonation is not there yet; the refusal names the plain permission"),
		accept(`^answer to (a resource version on create|a version that is no number|a watch from a version that is none)\.`, "a fault of the client is 400, not 500"),
	}
}
