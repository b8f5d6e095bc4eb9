package webhook

import (
	"errors"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
)

// count tells the metrics what came of asking a webhook: nil, a [*callError], the denial that it asked for, or another error.
func (c *Config) count(h *hook, a *admission.Attributes, mutating bool, took time.Duration, err error) {
	counted := admission.WebhookCall{
		Name: h.Name, Mutating: mutating, Operation: a.Operation, Took: took, Code: http.StatusOK, Rejected: err != nil,
	}
	var (
		call   *callError
		denied *api.Error
	)
	switch {
	case err == nil:
	case errors.As(err, &call):
		counted.Code, counted.Failure = callCode(call), "calling_webhook_error"
		counted.Rejected, counted.FailedOpen = !h.ignores(), h.ignores()
	case errors.As(err, &denied):
		counted.Code, counted.Failure = int(denied.Status.Code), "no_error"
	default:
		counted.Code, counted.Failure = 0, "apiserver_internal_error"
	}
	c.Metrics.Webhook(counted)
}

// callCode is what a webhook answered that was no review, or 500 where it did not answer.
func callCode(err *callError) int {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Code != 0 {
		return int(status.Status().Code)
	}
	return http.StatusInternalServerError
}
