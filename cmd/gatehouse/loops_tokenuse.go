package main

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse/gatehouse/authn/serviceaccount"
)

// tokenUse carries from requests to a loop that a token in a Secret was used, so that no request waits for the write.
type tokenUse chan usedToken

// usedToken is the Secret of a token and the day of its use.
type usedToken struct {
	secret *corev1.Secret
	day    string
}

// maxTokenUse bounds the uses that wait to be written down. What finds no room is told again by the next use.
const maxTokenUse = 64

func newTokenUse() tokenUse { return make(tokenUse, maxTokenUse) }

func (u tokenUse) tell(secret *corev1.Secret, day string) {
	select {
	case u <- usedToken{secret, day}:
	default:
	}
}

// recordTokenUse labels the Secrets of tokens with the day of their last use.
func (p *parts) recordTokenUse(ctx context.Context) error {
	for {
		select {
		case used := <-p.tokenUse:
			p.try(ctx, "last use of a token in a secret", func(ctx context.Context) error { return p.labelTokenUse(ctx, used) })
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *parts) labelTokenUse(ctx context.Context, used usedToken) error {
	c := because("legacy token tracking")
	info := objectOf("", "secrets", used.secret.Name)
	info.Namespace = used.secret.Namespace
	o, found, err := p.read(ctx, c.why, info, "0")
	if err != nil || !found {
		return err
	}
	secret := o.(*corev1.Secret)
	if secret.UID != used.secret.UID || secret.Labels[serviceaccount.LabelLastUsed] == used.day {
		return nil
	}
	if secret.Labels == nil {
		secret.Labels = map[string]string{}
	}
	secret.Labels[serviceaccount.LabelLastUsed] = used.day
	return ignoreConflict(p.write(ctx, c, "update", info, secret))
}
