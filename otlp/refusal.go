// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"errors"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// accepted drops the error of a partial success that rejected nothing: OTLP's way to send a warning.
func accepted(err error) error {
	if err != nil && isPartial(err) && strings.Contains(err.Error(), "(0 ") {
		return nil
	}
	return err
}

// isPartial tells an OTLP partial success. The exporters' error type is internal to each of them.
func isPartial(err error) bool { return strings.Contains(err.Error(), "OTLP partial success") }

// Permanent tells whether an error of Exporter is one that a repetition of the same request cannot cure.
func Permanent(err error) bool {
	if err == nil {
		return false
	}
	// An answer that is no message came with a status of success: whoever gave it has what it wants.
	if errors.Is(err, errBadBatch) || errors.Is(err, proto.Error) || isPartial(err) || strings.Contains(err.Error(), "too large: exceeded") {
		return true
	}
	if s, ok := grpcStatus(err); ok {
		switch s.Code() {
		case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied, codes.Unauthenticated,
			codes.FailedPrecondition, codes.Unimplemented:
			return true
		case codes.ResourceExhausted:
			return strings.Contains(s.Message(), "larger than max") // of the message: it will not shrink
		}
		return false
	}
	// The HTTP exporters' words for a status that OTLP does not let a client retry.
	return strings.Contains(err.Error(), "failed to send to ")
}

func grpcStatus(err error) (*status.Status, bool) {
	var grpcErr interface{ GRPCStatus() *status.Status }
	if errors.As(err, &grpcErr) {
		return grpcErr.GRPCStatus(), true
	}
	return nil, false
}

// throttledError is a refusal with the receiver's wish when to be asked again.
type throttledError struct {
	error
	after time.Duration
}

func (e throttledError) Unwrap() error { return e.error }

func throttled(err error, after time.Duration) error {
	if after <= 0 {
		return err
	}
	return throttledError{err, after}
}

// pauseAsked is how long a receiver asked not to be asked again, by the Retry-After of HTTP or the RetryInfo of gRPC; 0
// if it did not.
func pauseAsked(err error) time.Duration {
	var t throttledError
	if errors.As(err, &t) {
		return t.after
	}
	if s, ok := grpcStatus(err); ok {
		for _, d := range s.Details() {
			if info, ok := d.(*errdetails.RetryInfo); ok {
				return max(0, info.GetRetryDelay().AsDuration())
			}
		}
	}
	return 0
}
