package api

import "slices"

// Names of users and groups with a fixed meaning in the Kubernetes API.
const (
	// GroupMasters is allowed everything, before any authorizer is asked.
	GroupMasters = "system:masters"
	// GroupAuthenticated is held by every user that presented a valid credential.
	GroupAuthenticated = "system:authenticated"
	// GroupUnauthenticated is held by the anonymous user only.
	GroupUnauthenticated = "system:unauthenticated"
	// UserAnonymous is the name given to requests without a credential, where
	// anonymous requests are configured at all.
	UserAnonymous = "system:anonymous"
	// GroupServiceAccounts is held by every service account.
	GroupServiceAccounts = "system:serviceaccounts"
	// ServiceAccountPrefix begins the user name of a service account:
	// system:serviceaccount:NAMESPACE:NAME.
	ServiceAccountPrefix = "system:serviceaccount:"
	// ExtraCredentialID is the Extra key that names the credential used:
	// X509SHA256=<hex> or JTI=<id>.
	ExtraCredentialID = "authentication.kubernetes.io/credential-id"
)

// User is an authenticated identity. The zero value is nobody: it has no name, is in
// no group and is refused by every authorizer.
type User struct {
	// Name is unique among active users; it is what RBAC subjects of kind User match.
	Name string
	// UID tells apart two users that had the same name at different times; may be empty.
	UID string
	// Groups the user belongs to, in the order the authenticator gave them.
	Groups []string
	// Extra holds further facts about the credential, by lower-case key.
	Extra map[string][]string
}

// InGroup reports whether the user is a member of group.
func (u User) InGroup(group string) bool { return slices.Contains(u.Groups, group) }

// IsAnonymous reports whether the user presented no credential.
func (u User) IsAnonymous() bool { return u.Name == UserAnonymous }

// WithGroup returns the user with group added at the end, unless it is held already.
// The receiver's slice is not changed.
func (u User) WithGroup(group string) User {
	if !u.InGroup(group) {
		u.Groups = append(slices.Clip(u.Groups), group) // which has no room, so it is copied
	}
	return u
}
