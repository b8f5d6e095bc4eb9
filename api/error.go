package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Error is the one error type that crosses layers. Its Status is what the client is
// told; its Cause is for the server's log only and is never sent.
type Error struct {
	// Status is the answer, complete with code, reason, message and details.
	Status metav1.Status
	// Cause is the internal reason, or nil. It may contain names of files, hosts or
	// keys and therefore never leaves the process.
	Cause error
}

// Error returns the client's message, and the cause behind it where there is one, for logs.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Status.Message + ": " + e.Cause.Error()
	}
	return e.Status.Message
}

// Unwrap returns the cause, so that errors.Is and errors.As see through it.
func (e *Error) Unwrap() error { return e.Cause }

// Code is the HTTP status code of the answer.
func (e *Error) Code() int { return int(e.Status.Code) }

// Reason is the machine-readable reason of the answer.
func (e *Error) Reason() metav1.StatusReason { return e.Status.Reason }

// Wrap returns the error with its cause set.
func (e *Error) Wrap(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// ToError maps any error to the one that the client is told. An *Error anywhere in the
// chain is returned as it is, a status error of the Kubernetes libraries is adopted, an expired
// deadline becomes a timeout (504), and everything else an internal error (500) with a fixed
// text, so that nothing internal leaks. A nil error gives nil.
func ToError(err error) *Error {
	var own *Error
	var lib apierrors.APIStatus
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own
	case errors.As(err, &lib):
		return &Error{Status: lib.Status(), Cause: err}
	case errors.Is(err, context.DeadlineExceeded):
		return fromLibrary(apierrors.NewTimeoutError("request did not complete within the requested timeout", 0)).Wrap(err)
	case errors.Is(err, context.Canceled):
		return fromLibrary(apierrors.NewTimeoutError("request was canceled", 0)).Wrap(err)
	}
	return Internal(err)
}

// IsReason reports whether err carries the reason.
func IsReason(err error, reason metav1.StatusReason) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Status.Reason == reason
	}
	return apierrors.ReasonForError(err) == reason
}

func fromLibrary(err *apierrors.StatusError) *Error { return &Error{Status: err.ErrStatus} }

// BadRequest is 400 with the formatted message.
func BadRequest(format string, args ...any) *Error {
	return fromLibrary(apierrors.NewBadRequest(fmt.Sprintf(format, args...)))
}

// Unauthorized is 401. Its text is fixed: why a credential was refused is for the log and the
// audit trail, not for whoever presented it.
func Unauthorized(cause error) *Error {
	return fromLibrary(apierrors.NewUnauthorized("Unauthorized")).Wrap(cause)
}

// Forbidden is 403: the user may not do this to the resource, and why.
func Forbidden(r schema.GroupResource, name string, why error) *Error {
	return fromLibrary(apierrors.NewForbidden(r, name, why))
}

// ForbiddenPath is 403 for a path that is not a resource.
func ForbiddenPath(user, verb, path, reason string) *Error {
	msg := fmt.Sprintf("forbidden: User %q cannot %s path %q", user, verb, path)
	if reason != "" {
		msg += ": " + reason
	}
	return &Error{Status: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden,
		Message: msg, Details: &metav1.StatusDetails{},
	}}
}

// NotFound is 404 for an object that does not exist.
func NotFound(r schema.GroupResource, name string) *Error {
	return fromLibrary(apierrors.NewNotFound(r, name))
}

// PathNotFound is 404 for a path that nothing serves.
func PathNotFound() *Error {
	return &Error{Status: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound,
		Message: "the server could not find the requested resource", Details: &metav1.StatusDetails{},
	}}
}

// AlreadyExists is 409 for a create of a name that is taken.
func AlreadyExists(r schema.GroupResource, name string) *Error {
	return fromLibrary(apierrors.NewAlreadyExists(r, name))
}

// Conflict is 409 for an update that lost against another.
func Conflict(r schema.GroupResource, name string, why error) *Error {
	return fromLibrary(apierrors.NewConflict(r, name, why))
}

// Bounds of what a 422 tells. A body of 3 MiB can be wrong in a hundred thousand places, and whoever sent it is
// helped by the first of them.
const (
	MaxCauses     = 1000
	MaxCauseBytes = 64 << 10 // of the text of one cause
	maxTextBytes  = 1 << 20  // of the texts of all
)

// Invalid is 422 with one cause per field error, up to [MaxCauses]. The message has the texts of the causes, each once, in the form of
// the reference. The library that the reference uses for it puts them together in quadratic time.
func Invalid(k schema.GroupKind, name string, errs field.ErrorList) *Error {
	e := fromLibrary(apierrors.NewInvalid(k, name, nil))
	if len(errs) == 0 {
		return e
	}
	var texts []string
	seen := make(map[string]bool, min(len(errs), MaxCauses))
	total := 0
	for i, err := range errs {
		body := Shorten(err.ErrorBody(), MaxCauseBytes)
		if total += len(body); i == MaxCauses || total > maxTextBytes {
			texts = append(texts, fmt.Sprintf("and %d more", len(errs)-i))
			break
		}
		e.Status.Details.Causes = append(e.Status.Details.Causes, metav1.StatusCause{
			Type: metav1.CauseType(err.Type), Message: body, Field: err.Field,
		})
		if text := Shorten(err.Error(), MaxCauseBytes); !seen[text] {
			seen[text] = true
			texts = append(texts, text)
		}
	}
	all := strings.Join(texts, ", ")
	if len(texts) > 1 {
		all = "[" + all + "]"
	}
	e.Status.Message += ": " + all
	return e
}

// MethodNotAllowed is 405: the path does not have the method, or nothing has it. It does not repeat the method, which is text of
// the client's choice.
func MethodNotAllowed() *Error {
	return &Error{Status: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusMethodNotAllowed, Reason: metav1.StatusReasonMethodNotAllowed,
		Message: "the server does not allow this method on the requested resource", Details: &metav1.StatusDetails{},
	}}
}

// Expired is 410 for a resourceVersion or continue token that is too old.
func Expired(message string) *Error { return fromLibrary(apierrors.NewResourceExpired(message)) }

// TooLarge is 413 for a body over its bound.
func TooLarge(format string, args ...any) *Error {
	return fromLibrary(apierrors.NewRequestEntityTooLargeError(fmt.Sprintf(format, args...)))
}

// NotAcceptable is 406: none of the media types in the Accept header can be served.
func NotAcceptable(format string, args ...any) *Error {
	return &Error{Status: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotAcceptable, Reason: metav1.StatusReasonNotAcceptable,
		Message: fmt.Sprintf(format, args...),
	}}
}

// UnsupportedMediaType is 415: the body is of a type that cannot be read here.
func UnsupportedMediaType(format string, args ...any) *Error {
	return &Error{Status: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnsupportedMediaType, Reason: metav1.StatusReasonUnsupportedMediaType,
		Message: fmt.Sprintf(format, args...),
	}}
}

// TooManyRequests is 429; the client is told to come back after retryAfter whole seconds (at least 1).
func TooManyRequests(message string, retryAfter int) *Error {
	return fromLibrary(apierrors.NewTooManyRequests(message, max(retryAfter, 1)))
}

// ResourceVersionTooLarge is 504: the client asks for a revision that this server has not seen within its wait.
func ResourceVersionTooLarge(asked, current uint64) *Error {
	e := fromLibrary(apierrors.NewTimeoutError(fmt.Sprintf("Too large resource version: %d, current: %d", asked, current), 1))
	e.Status.Details.Causes = []metav1.StatusCause{{
		Type: metav1.CauseTypeResourceVersionTooLarge, Message: "Too large resource version",
	}}
	return e
}

// Unavailable is 503 with the formatted message.
func Unavailable(format string, args ...any) *Error {
	return fromLibrary(apierrors.NewServiceUnavailable(fmt.Sprintf(format, args...)))
}

// Internal is 500 with a fixed text; the cause is kept for the log.
func Internal(cause error) *Error {
	return fromLibrary(apierrors.NewInternalError(errors.New("the server could not complete the request"))).Wrap(cause)
}
