package oidc_test

import (
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// FuzzToken changes a good token: whatever is accepted is the good one.
func FuzzToken(f *testing.F) {
	ec := ecKey(f, "ec")
	p := newProvider(f, ec.public())
	a := newAuthenticator(f, p.config(), &clock{now: start})
	run(f, a)
	good := p.token(f, ec, jwt.SigningMethodES256, nil)
	until(f, "a good token", func() bool { res, _ := present(f, a, good); return res != nil })
	f.Add(good)
	f.Add(strings.Repeat(".", 100))
	f.Add(good + "\n")
	f.Add(strings.Replace(good, ".", "..", 1))
	f.Fuzz(func(t *testing.T, token string) {
		res, err := present(t, a, token)
		if (res != nil) != (token == good) || (res != nil && err != nil) {
			t.Errorf("%q: %v, %v", token, res, err)
		}
	})
}
