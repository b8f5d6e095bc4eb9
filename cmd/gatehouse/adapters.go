package main

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/audit"
	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authn/serviceaccount"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/internal/flags"
	"github.com/gatehouse/gatehouse/internal/pki"
	"github.com/gatehouse/gatehouse/policies"
	"github.com/gatehouse/gatehouse/resource"
)

// Siblings in the import lattice do not know one another. What one needs of another passes through here.

// policyDenier lets the authorize policies deny above RBAC.
type policyDenier struct{ engine *policies.Engine }

// Authorize denies what a policy denies. A policy that cannot be evaluated denies too.
func (d policyDenier) Authorize(ctx context.Context, user api.User, info api.RequestInfo) (authz.Decision, string, error) {
	denied, name, reason, err := d.engine.Deny(ctx, user, info)
	switch {
	case err != nil:
		return authz.Deny, "", err
	case denied:
		return authz.Deny, `denied by authorization policy "` + name + `": ` + reason, nil
	}
	return authz.NoOpinion, "", nil
}

// auditOff is the audit log of a server without one, which only the compatible profile allows.
type auditOff struct{}

// Begin returns the nil record, which ignores what it is told.
func (auditOff) Begin(context.Context, audit.Request) (*audit.Record, error) { return nil, nil }

// finder finds objects for the stages that decide by them. Its reads carry a system permit: they are the
// server's own, whoever asks.
type finder struct {
	service *resource.Service // set once, before anything is served
}

// get reads an object at the first of the resourceVersions that has it: "" is a consistent read, "0" takes what the cache has.
func (f *finder) get(ctx context.Context, why string, info api.RequestInfo, versions ...string) (resource.Object, bool, error) {
	info.IsResource, info.Version, info.Verb = true, "v1", "get"
	permit := authz.System(why, info)
	for _, version := range versions {
		result, err := f.service.Get(ctx, permit, version)
		if err == nil {
			o, err := result.Type.Decode(result.Item)
			return o, err == nil, err
		}
		if !api.IsReason(err, metav1.StatusReasonNotFound) {
			return nil, false, err
		}
	}
	return nil, false, nil
}

// as gives what get has returned its type.
func as[T resource.Object](o resource.Object, found bool, err error) (T, bool, error) {
	if err != nil || !found {
		var none T
		return none, false, err
	}
	return o.(T), true, nil
}

// Namespace implements admission.Namespaces. The read is consistent: with several servers, one that has not heard of a deletion
// must not create in what is gone.
func (f *finder) Namespace(ctx context.Context, name string) (*corev1.Namespace, bool, error) {
	return as[*corev1.Namespace](f.get(ctx, "namespace lifecycle", api.RequestInfo{Resource: "namespaces", Name: name, Namespace: name}, ""))
}

// Pod implements serviceaccount.Pods with a consistent read.
func (f *finder) Pod(ctx context.Context, namespace, name string) (*corev1.Pod, bool, error) {
	return as[*corev1.Pod](f.get(ctx, "token request", api.RequestInfo{Resource: "pods", Namespace: namespace, Name: name}, ""))
}

// Lookup implements serviceaccount.Objects.
func (f *finder) Lookup(ctx context.Context, kind, namespace, name string) (string, *time.Time, bool, error) {
	plural, known := map[string]string{
		"ServiceAccount": "serviceaccounts", "Pod": "pods", "Secret": "secrets", "Node": "nodes",
	}[kind]
	if !known {
		return "", nil, false, errors.New("tokens cannot be bound to a " + kind)
	}
	o, found, err := f.get(ctx, "token check", api.RequestInfo{Resource: plural, Namespace: namespace, Name: name}, "0", "")
	if err != nil || !found {
		return "", nil, false, err
	}
	var deletion *time.Time
	if t := o.GetDeletionTimestamp(); t != nil {
		deletion = &t.Time
	}
	return string(o.GetUID()), deletion, true, nil
}

// Secret implements bootstrap.Secrets and serviceaccount.LegacyObjects. It takes what the cache has: who makes tokens up must not
// cost etcd a question each.
func (f *finder) Secret(ctx context.Context, namespace, name string) (*corev1.Secret, bool, error) {
	return as[*corev1.Secret](f.get(ctx, "token check", api.RequestInfo{Resource: "secrets", Namespace: namespace, Name: name}, "0"))
}

// ServiceAccount implements serviceaccount.LegacyObjects with what the cache has.
func (f *finder) ServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, bool, error) {
	return as[*corev1.ServiceAccount](f.get(ctx, "token check", api.RequestInfo{Resource: "serviceaccounts", Namespace: namespace, Name: name}, "0"))
}

// tokenReviewer answers TokenReviews from the chain that authenticates requests.
type tokenReviewer struct{ chain *authn.Chain }

// ReviewToken implements resource.TokenReviewer.
func (r tokenReviewer) ReviewToken(ctx context.Context, token string, audiences []string) (api.User, []string, bool, string) {
	result, err := r.chain.Token(ctx, token, audiences)
	if err != nil {
		return api.User{}, nil, false, reviewError(err)
	}
	return result.User, result.Audiences, true, ""
}

// reviewError is what a reviewer is told. The reasons of authenticators hold no secret; who may review tokens may learn them.
func reviewError(err error) string {
	const invalid = "invalid bearer token"
	cause := api.ToError(err).Unwrap()
	if cause == nil || errors.Is(cause, authn.ErrUnknownToken) {
		return invalid
	}
	return "[" + invalid + ", " + strings.ReplaceAll(cause.Error(), "\n", ", ") + "]"
}

// tokenIssuer issues the tokens that the API is asked for.
type tokenIssuer struct{ issuer *serviceaccount.Issuer }

// IssueToken implements resource.TokenIssuer.
func (i tokenIssuer) IssueToken(ctx context.Context, sa *corev1.ServiceAccount, tr *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, string, []string, error) {
	issued, err := i.issuer.Issue(ctx, sa, tr)
	if err != nil {
		return nil, "", nil, err
	}
	return issued.Request, issued.CredentialID, issued.Warnings, nil
}

// anonymous translates the flag.
func anonymous(a flags.Anonymous) authn.Anonymous {
	switch a {
	case flags.AnonymousAny:
		return authn.Anonymous{Enabled: true}
	case flags.AnonymousHealth:
		return authn.Anonymous{Enabled: true, Paths: []string{"/livez", "/readyz", "/healthz", "/version"}}
	}
	return authn.Anonymous{}
}

// loadKeys reads the keys that verify tokens; without files that is the public half of the signing key.
func loadKeys(signing crypto.Signer, files []string) ([]crypto.PublicKey, error) {
	if len(files) == 0 {
		return []crypto.PublicKey{signing.Public()}, nil
	}
	var public []crypto.PublicKey
	for _, file := range files {
		keys, err := serviceaccount.LoadPublicKeys(file)
		if err != nil {
			return nil, err
		}
		public = append(public, keys...)
	}
	return public, nil
}

// maxReloadBytes bounds a file that is read again.
const maxReloadBytes = 8 << 20

// whenChanged returns a reload that calls load only if the content of a file differs from the last that was loaded.
func whenChanged(files []string, load func() error) func() (bool, error) {
	loaded := make([][]byte, len(files))
	read := func() ([][]byte, error) {
		now := make([][]byte, len(files))
		for i, file := range files {
			var err error
			if now[i], err = pki.ReadPublic(file, maxReloadBytes); err != nil {
				return nil, err
			}
		}
		return now, nil
	}
	if first, err := read(); err == nil {
		loaded = first
	}
	return func() (bool, error) {
		now, err := read()
		if err != nil || slices.EqualFunc(now, loaded, bytes.Equal) {
			return false, err
		}
		if err := load(); err != nil {
			return false, err
		}
		loaded = now
		return true, nil
	}
}
