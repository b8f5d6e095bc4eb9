package bootstrap_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authn/bootstrap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

const (
	id     = "abcdef"
	secret = "0123456789abcdef"
)

// secrets holds Secrets of kube-system by name.
type secrets struct {
	kept map[string]*corev1.Secret
	err  error
}

func (s secrets) Secret(_ context.Context, namespace, name string) (*corev1.Secret, bool, error) {
	if namespace != metav1.NamespaceSystem {
		return nil, false, errors.New("asked for a Secret in " + namespace)
	}
	o, ok := s.kept[name]
	return o, ok, s.err
}

func token(changes ...func(*corev1.Secret)) secrets {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-" + id, Namespace: metav1.NamespaceSystem},
		Type:       bootstrap.SecretType,
		Data: map[string][]byte{
			"token-id": []byte(id), "token-secret": []byte(secret), "usage-bootstrap-authentication": []byte("true"),
		},
	}
	for _, change := range changes {
		change(s)
	}
	return secrets{kept: map[string]*corev1.Secret{s.Name: s}}
}

func set(key, value string) func(*corev1.Secret) {
	return func(s *corev1.Secret) { s.Data[key] = []byte(value) }
}

func TestAuthenticate(t *testing.T) {
	tests := map[string]struct {
		secrets secrets
		token   string
		groups  []string // nil: no opinion
	}{
		"a token":                   {token(), id + "." + secret, []string{"system:bootstrappers"}},
		"one that has not expired":  {token(set("expiration", "2026-11-01T12:00:01Z")), id + "." + secret, []string{"system:bootstrappers"}},
		"another time zone":         {token(set("expiration", "2026-11-01T13:00:01+01:00")), id + "." + secret, []string{"system:bootstrappers"}},
		"groups, sorted and once":   {token(set("auth-extra-groups", "system:bootstrappers:b,system:bootstrappers:a,system:bootstrappers:b")), id + "." + secret, []string{"system:bootstrappers", "system:bootstrappers:a", "system:bootstrappers:b"}},
		"a group of administrators": {token(set("auth-extra-groups", "system:masters")), id + "." + secret, nil},
		"a group that only ends so": {token(set("auth-extra-groups", "system:masters\nsystem:bootstrappers:a")), id + "." + secret, nil},
		"an empty group":            {token(set("auth-extra-groups", "system:bootstrappers:a,")), id + "." + secret, nil},
		"the wrong secret":          {token(), id + ".0123456789abcdeX", nil},
		"another secret":            {token(), id + ".fedcba9876543210", nil},
		"no secret is kept":         {token(set("token-secret", "")), id + "." + secret, nil},
		"an unknown name":           {token(), "zzzzzz." + secret, nil},
		"the id of another token":   {token(set("token-id", "zzzzzz")), id + "." + secret, nil},
		"the very moment of its end": {
			token(set("expiration", "2026-11-01T12:00:00Z")), id + "." + secret, nil,
		},
		"an end that cannot be read":     {token(set("expiration", "tomorrow")), id + "." + secret, nil},
		"one for signing only":           {token(set("usage-bootstrap-authentication", "false")), id + "." + secret, nil},
		"True is not true":               {token(set("usage-bootstrap-authentication", "True")), id + "." + secret, nil},
		"a Secret of another type":       {token(func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }), id + "." + secret, nil},
		"a Secret that is being deleted": {token(func(s *corev1.Secret) { s.DeletionTimestamp = &metav1.Time{Time: now} }), id + "." + secret, nil},
		"a Secret without data":          {token(func(s *corev1.Secret) { s.Data = nil }), id + "." + secret, nil},
		"a name that leaves its place":   {token(), "../abc." + secret, nil},
		"capitals":                       {token(), "ABCDEF." + secret, nil},
		"a line break behind":            {token(), id + "." + secret + "\n", nil},
		"three parts":                    {token(), id + "." + secret + ".x", nil},
		"nothing":                        {token(), "", nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			a := bootstrap.New(tc.secrets, func() time.Time { return now })
			got, err := a.Authenticate(t.Context(), authn.Credentials{BearerToken: tc.token, HasBearer: true})
			if err != nil {
				t.Fatal(err)
			}
			var want *authn.Result
			if tc.groups != nil {
				want = &authn.Result{User: api.User{Name: "system:bootstrap:" + id, Groups: tc.groups}, Method: "bootstrap"}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatCannotBeLookedUpIsRefused(t *testing.T) {
	s := token()
	s.err = errors.New("the cache is closed")
	a := bootstrap.New(s, func() time.Time { return now })
	res, err := a.Authenticate(t.Context(), authn.Credentials{BearerToken: id + "." + secret, HasBearer: true})
	if res != nil || !errors.Is(err, s.err) || strings.Contains(err.Error(), secret) {
		t.Errorf("result = %v, %v; want an error without the secret", res, err)
	}
}

// Nothing but the exact token is taken for it, and no input is looked up under a name that is not a token's.
func FuzzAuthenticate(f *testing.F) {
	for _, s := range []string{id + "." + secret, id, "." + secret, id + "." + secret + " ", strings.Repeat(".", 50)} {
		f.Add(s)
	}
	a := bootstrap.New(token(), func() time.Time { return now })
	f.Fuzz(func(t *testing.T, presented string) {
		res, err := a.Authenticate(t.Context(), authn.Credentials{BearerToken: presented, HasBearer: true})
		if err != nil || (res != nil) != (presented == id+"."+secret) {
			t.Errorf("%q: %v, %v", presented, res, err)
		}
	})
}
