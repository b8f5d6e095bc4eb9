package authn

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/api"
)

// Bounds of the Impersonate-* headers of one request: how many values, each of which costs an authorization, and how
// many bytes of header names and values together.
const (
	MaxImpersonationValues = 512
	MaxImpersonationBytes  = 32 << 10
)

const impersonatePrefix = "Impersonate-"

// Impersonation is a request to act as another user. It has no effect until [Impersonation.As] returns the user.
type Impersonation struct {
	user   api.User
	checks []api.RequestInfo
}

// Permit decides whether user may make the request that info describes; nil allows it. The error is what the client
// is told.
type Permit func(ctx context.Context, user api.User, info api.RequestInfo) error

// Checks returns what the requester must be allowed to do, each entry on its own: verb impersonate on the user or the
// service account, on every group, on the uid and on every value of every extra key.
func (i *Impersonation) Checks() []api.RequestInfo { return slices.Clone(i.checks) }

// As returns the user to act as, once permit has allowed the requester every one of the checks. The group
// system:masters can only be taken on by a requester who is in it, whatever permit says.
func (i *Impersonation) As(ctx context.Context, requester api.User, permit Permit) (api.User, error) {
	if i.user.Name == "" {
		return api.User{}, api.BadRequest("the impersonation names no user")
	}
	if i.user.InGroup(api.GroupMasters) && !requester.InGroup(api.GroupMasters) {
		return api.User{}, api.Forbidden(schema.GroupResource{Resource: "groups"}, api.GroupMasters,
			errors.New("only a member of "+api.GroupMasters+" can impersonate it"))
	}
	for _, check := range i.checks {
		if err := permit(ctx, requester, check); err != nil {
			return api.User{}, err
		}
	}
	return i.user, nil
}

// ImpersonationFrom reads the Impersonate-* headers. Without any it returns nil, nil. Headers that are unknown,
// repeated where only one can hold, empty, undecodable, over the bounds, or present without Impersonate-User are a 400
// [api.Error]: to ignore one would be to act with more rights than the client asked for.
func ImpersonationFrom(r *http.Request) (*Impersonation, error) {
	asked, err := readHeaders(r.Header)
	if err != nil {
		return nil, err
	}
	switch {
	case !asked.any:
		return nil, nil
	case len(asked.users) == 0:
		return nil, api.BadRequest("the request has impersonation headers but no %s", authenticationv1.ImpersonateUserHeader)
	case len(asked.users) > 1:
		return nil, api.BadRequest("the header %s is repeated", authenticationv1.ImpersonateUserHeader)
	case len(asked.uids) > 1:
		return nil, api.BadRequest("the header %s is repeated", authenticationv1.ImpersonateUIDHeader)
	}
	return &Impersonation{user: asked.user(), checks: asked.checks()}, nil
}

// impersonateHeaders are the headers as sent, every value checked on its own.
type impersonateHeaders struct {
	any                 bool
	users, uids, groups []string
	extra               map[string][]string
}

func readHeaders(h http.Header) (impersonateHeaders, error) {
	var asked impersonateHeaders
	count, size := 0, 0
	for key := range h {
		if hasPrefixFold(key, impersonatePrefix) {
			count += len(h[key])
			size += len(key)
			for _, value := range h[key] {
				size += len(value)
			}
			asked.any = true
		}
	}
	if !asked.any {
		return asked, nil
	}
	if count > MaxImpersonationValues || size > MaxImpersonationBytes {
		return asked, api.BadRequest("the impersonation headers have %d values in %d bytes, the limits are %d and %d",
			count, size, MaxImpersonationValues, MaxImpersonationBytes)
	}
	asked.extra = map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(h)) {
		if !hasPrefixFold(key, impersonatePrefix) {
			continue
		}
		if err := asked.add(key, h[key]); err != nil {
			return asked, err
		}
	}
	return asked, nil
}

func (a *impersonateHeaders) add(key string, values []string) error {
	for _, value := range values {
		if value == "" || !utf8.ValidString(value) {
			return api.BadRequest("the header %q is empty or not valid UTF-8", key)
		}
	}
	name := strings.ToLower(key[len(impersonatePrefix):])
	encoded, isExtra := strings.CutPrefix(name, "extra-")
	switch {
	case name == "user":
		a.users = append(a.users, values...)
	case name == "uid":
		a.uids = append(a.uids, values...)
	case name == "group":
		a.groups = append(a.groups, values...)
	case isExtra:
		decoded, err := url.PathUnescape(encoded)
		if err != nil || decoded == "" || !utf8.ValidString(decoded) {
			return api.BadRequest("the header %q does not end in a percent-encoded key", key)
		}
		a.extra[decoded] = append(a.extra[decoded], values...)
	default:
		return api.BadRequest("the header %q is not one of %s, %s, %s and %sKEY", key, authenticationv1.ImpersonateUserHeader,
			authenticationv1.ImpersonateUIDHeader, authenticationv1.ImpersonateGroupHeader, authenticationv1.ImpersonateUserExtraHeaderPrefix)
	}
	return nil
}

// user builds the user as the headers describe it, with the groups that everybody of its kind is in.
func (a *impersonateHeaders) user() api.User {
	user := api.User{Name: a.users[0], Groups: a.groups}
	if namespace, name, ok := ServiceAccountName(user.Name); ok && len(a.groups) == 0 {
		user = ServiceAccountUser(namespace, name)
	}
	if len(a.uids) > 0 {
		user.UID = a.uids[0]
	}
	if len(a.extra) > 0 {
		user.Extra = a.extra
	}
	switch {
	case user.IsAnonymous():
		return user.WithGroup(api.GroupUnauthenticated)
	case user.InGroup(api.GroupUnauthenticated):
		return user
	}
	return user.WithGroup(api.GroupAuthenticated)
}

func (a *impersonateHeaders) checks() []api.RequestInfo {
	var checks []api.RequestInfo
	if namespace, name, ok := ServiceAccountName(a.users[0]); ok {
		checks = append(checks, impersonateCheck("", "serviceaccounts", "", namespace, name))
	} else {
		checks = append(checks, impersonateCheck("", "users", "", "", a.users[0]))
	}
	for _, group := range a.groups {
		checks = append(checks, impersonateCheck("", "groups", "", "", group))
	}
	for _, key := range slices.Sorted(maps.Keys(a.extra)) {
		for _, value := range a.extra[key] {
			checks = append(checks, impersonateCheck(authenticationv1.GroupName, "userextras", key, "", value))
		}
	}
	for _, uid := range a.uids {
		checks = append(checks, impersonateCheck(authenticationv1.GroupName, "uids", "", "", uid))
	}
	return checks
}

func impersonateCheck(group, resource, subresource, namespace, name string) api.RequestInfo {
	return api.RequestInfo{
		IsResource: true, Verb: "impersonate", Group: group, Version: "v1",
		Resource: resource, Subresource: subresource, Namespace: namespace, Name: name,
	}
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
