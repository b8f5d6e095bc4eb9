package backend

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
)

// plain is a 500 without a reason, as kube-apiserver answers when an upgrade fails.
func plain(message string) *api.Error {
	return &api.Error{Status: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: message}}
}

// failed says which target was not reached and why. An error of this server is passed on as it is.
func (s *session) failed(err error) error {
	if own := (*api.Error)(nil); errors.As(err, &own) {
		return own
	}
	if cause := context.Cause(s.ctx); errors.Is(cause, errIdle) {
		err = errIdle
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // The address that it begins with is this server's business.
	}
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return api.ToError(err)
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, errIdle):
		// Whether connecting took too long or answering, trying again later is all that a client can do.
		return api.Unavailable("error trying to reach %s: timed out: %s", s.t.what(), reason(err)).Wrap(err)
	}
	return api.Unavailable("error trying to reach %s: %s", s.t.what(), reason(err)).Wrap(err)
}

// maxReason bounds what is told of an error, in bytes: a certificate can put much into one.
const maxReason = 1 << 10

func reason(err error) string {
	text := strings.ToValidUTF8(fmt.Sprint(err), "")
	if len(text) > maxReason {
		text = api.Cut(text, maxReason) + "..."
	}
	return text
}
