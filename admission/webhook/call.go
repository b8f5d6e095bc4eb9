package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionv1beta1 "k8s.io/api/admission/v1beta1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/internal/webhook"
)

// callError is that a webhook could not be asked, or gave no answer. It refuses unless the webhook's failure policy is Ignore.
type callError struct {
	webhook string
	reason  error
}

func (e *callError) Error() string {
	return fmt.Sprintf("failed calling webhook %q: %v", e.webhook, e.reason)
}

func (e *callError) Unwrap() error { return e.reason }

// refusal is the answer to a request because of the error.
func refusal(err error) *api.Error {
	var call *callError
	if errors.As(err, &call) {
		return api.ToError(apierrors.NewInternalError(call))
	}
	return api.ToError(err)
}

// answers decodes reviews as clients of Kubernetes do.
type answers struct{ runtime.Decoder }

func newAnswers() (answers, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(admissionv1.AddToScheme(scheme), admissionv1beta1.AddToScheme(scheme)); err != nil {
		return answers{}, err
	}
	return answers{serializer.NewCodecFactory(scheme).LegacyCodec(admissionv1beta1.SchemeGroupVersion, admissionv1.SchemeGroupVersion)}, nil
}

// review reads what an endpoint sent.
func (d answers) review(a *webhook.Answer) (*admissionv1.AdmissionReview, error) {
	if a.Code < http.StatusOK || a.Code > http.StatusPartialContent {
		return nil, apierrors.NewGenericServerResponse(a.Code, http.MethodPost, schema.GroupResource{}, "", a.Text(), 0, true)
	}
	if len(a.Body) == 0 {
		return nil, fmt.Errorf("0-length response with status code: %d and content type: %s", a.Code, a.ContentType)
	}
	review := &admissionv1.AdmissionReview{}
	if _, _, err := d.Decode(a.Body, nil, review); err != nil {
		return nil, err
	}
	return review, nil
}

// ask puts a question to a webhook. A [*callError] is one that the failure policy is about.
func (c *Config) ask(ctx context.Context, d answers, h *hook, q *question, mutating bool) (*admissionv1.AdmissionResponse, error) {
	failed := func(reason error) error { return &callError{h.Name, reason} }
	if q.attributes.DryRun {
		switch {
		case h.SideEffects == nil:
			//lint:ignore ST1005 The text is that of kube-apiserver.
			return nil, failed(errors.New("Webhook SideEffects is nil"))
		case *h.SideEffects != admissionregistrationv1.SideEffectClassNone && *h.SideEffects != admissionregistrationv1.SideEffectClassNoneOnDryRun:
			return nil, api.BadRequest("admission webhook %q does not support dry run", h.Name)
		}
	}
	if !slices.Contains(h.AdmissionReviewVersions, admissionv1.SchemeGroupVersion.Version) {
		return nil, failed(errors.New("could not create admission objects: webhook does not accept known AdmissionReview versions (v1)"))
	}
	endpoint, err := c.endpoint(&h.ClientConfig)
	if err != nil {
		return nil, failed(fmt.Errorf("could not get REST client: %w", err))
	}
	review := q.review()
	body, err := json.Marshal(review)
	if err == nil && len(body) > MaxReviewBytes {
		err = fmt.Errorf("the review is larger than %d bytes", MaxReviewBytes)
	}
	if err != nil {
		return nil, failed(fmt.Errorf("could not create admission objects: %w", err))
	}
	ctx, cancel := context.WithTimeout(ctx, h.timeout())
	defer cancel()
	answer, err := c.Pool.Post(ctx, endpoint, timeoutQuery(ctx), body)
	var got *admissionv1.AdmissionReview
	if err == nil {
		got, err = d.review(answer)
	}
	if err != nil {
		return nil, failed(fmt.Errorf("failed to call webhook: %w", err))
	}
	response, err := verify(review.Request.UID, mutating, got)
	if err != nil {
		return nil, failed(fmt.Errorf("received invalid webhook response: %w", err))
	}
	return response, nil
}

// timeoutQuery tells the webhook how long it has, in whole seconds.
func timeoutQuery(ctx context.Context) string {
	deadline, _ := ctx.Deadline()
	left := time.Until(deadline)
	if whole := left.Truncate(time.Second); whole != left {
		left = whole + time.Second
	}
	if left <= 0 {
		return ""
	}
	return url.Values{"timeout": {left.String()}}.Encode()
}

// endpoint is where a webhook is. That of a Service has the Service's name in its certificate, wherever the connection goes.
func (c *Config) endpoint(of *admissionregistrationv1.WebhookClientConfig) (webhook.Endpoint, error) {
	switch {
	case of.Service != nil:
		s, port, at := of.Service, int32(443), ""
		if s.Port != nil {
			port = *s.Port
		}
		if s.Path != nil {
			at = *s.Path
		}
		host := net.JoinHostPort(s.Name+"."+s.Namespace+".svc", strconv.Itoa(int(port)))
		return webhook.Endpoint{
			URL: (&url.URL{Scheme: "https", Host: host, Path: path.Join("/", at)}).String(), CABundle: of.CABundle,
			Dial: func(ctx context.Context) (net.Conn, error) {
				return c.Services.DialService(ctx, s.Namespace, s.Name, port)
			},
		}, nil
	case of.URL != nil:
		u, err := url.Parse(*of.URL)
		if err != nil {
			//lint:ignore ST1005 The text is that of kube-apiserver.
			return webhook.Endpoint{}, fmt.Errorf("Unparsable URL: %w", err)
		}
		return webhook.Endpoint{URL: (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: path.Join("/", u.Path)}).String(), CABundle: of.CABundle}, nil
	}
	return webhook.Endpoint{}, errors.New("webhook configuration must have either service or URL")
}
