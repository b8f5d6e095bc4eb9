// Package bootstrap authenticates bootstrap tokens, with which a machine that has nothing else joins a cluster.
//
// A token is six characters that name it, a dot, and sixteen that are secret, all of a-z and 0-9. It is kept in the Secret
// bootstrap-token-NAME in kube-system, of type bootstrap.kubernetes.io/token. It is good for authentication only if that
// Secret says so (usage-bootstrap-authentication), is not being deleted and has not expired. The user is
// system:bootstrap:NAME in system:bootstrappers, and in the groups of auth-extra-groups, all of which must begin with
// system:bootstrappers:.
//
// Whatever is wrong with the Secret, the token gets no opinion, as in Kubernetes: the caller is not told whether a name exists.
// The secret half is compared in constant time and never part of an error.
package bootstrap

import (
	"context"
	"crypto/subtle"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
)

// SecretType is the type of the Secrets that hold tokens.
const SecretType corev1.SecretType = "bootstrap.kubernetes.io/token"

// secretPrefix and the token's name make the name of its Secret.
const secretPrefix = "bootstrap-token-"

// The keys of such a Secret.
const (
	keyID         = "token-id"
	keySecret     = "token-secret"
	keyExpiration = "expiration"
	keyUsage      = "usage-bootstrap-authentication"
	keyGroups     = "auth-extra-groups"
)

const (
	userPrefix = "system:bootstrap:"
	group      = "system:bootstrappers"
)

// Lengths of the two halves of a token.
const (
	idLength     = 6
	secretLength = 16
)

// Secrets finds the Secrets that hold tokens. Answers may be from a cache. An error means that the answer is not known.
type Secrets interface {
	Secret(ctx context.Context, namespace, name string) (*corev1.Secret, bool, error)
}

// Authenticator knows the tokens in kube-system. It is safe for concurrent use.
type Authenticator struct {
	secrets Secrets
	now     func() time.Time
	group   *regexp.Regexp
}

// New takes where the Secrets are, and the clock that expiry is judged by.
func New(secrets Secrets, now func() time.Time) *Authenticator {
	return &Authenticator{secrets: secrets, now: now, group: regexp.MustCompile(`\A` + group + `:[a-z0-9:-]{0,255}[a-z0-9]\z`)}
}

// Authenticate implements [authn.Authenticator].
func (a *Authenticator) Authenticate(ctx context.Context, c authn.Credentials) (*authn.Result, error) {
	id, secret, ok := split(c.BearerToken)
	if !ok {
		return nil, nil
	}
	kept, found, err := a.secrets.Secret(ctx, metav1.NamespaceSystem, secretPrefix+id)
	if err != nil {
		return nil, fmt.Errorf("bootstrap token %s: %w", id, err)
	}
	if !found || !a.valid(kept, id, secret) {
		return nil, nil
	}
	groups, ok := a.groups(string(kept.Data[keyGroups]))
	if !ok {
		return nil, nil
	}
	return &authn.Result{User: api.User{Name: userPrefix + id, Groups: groups}, Method: "bootstrap"}, nil
}

// split takes a token apart; false means that it is none.
func split(token string) (id, secret string, ok bool) {
	id, secret, ok = strings.Cut(token, ".")
	if !ok || len(id) != idLength || len(secret) != secretLength || strings.ContainsFunc(id+secret, foreign) {
		return "", "", false
	}
	return id, secret, true
}

func foreign(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }

func (a *Authenticator) valid(kept *corev1.Secret, id, secret string) bool {
	return subtle.ConstantTimeCompare(kept.Data[keySecret], []byte(secret)) == 1 &&
		kept.Type == SecretType && kept.DeletionTimestamp == nil &&
		string(kept.Data[keyID]) == id && string(kept.Data[keyUsage]) == "true" &&
		!a.expired(string(kept.Data[keyExpiration]))
}

// expired takes a time that cannot be read for one that has passed.
func (a *Authenticator) expired(at string) bool {
	if at == "" {
		return false
	}
	end, err := time.Parse(time.RFC3339, at)
	return err != nil || !a.now().Before(end)
}

func (a *Authenticator) groups(extra string) ([]string, bool) {
	groups := []string{group}
	if extra != "" {
		for name := range strings.SplitSeq(extra, ",") {
			if !a.group.MatchString(name) {
				return nil, false
			}
			groups = append(groups, name)
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups), true
}
