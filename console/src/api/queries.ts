/** The cache of what is asked for over REST and seldom changes. */
import { QueryClient } from '@tanstack/react-query'

export const queries = new QueryClient({ defaultOptions: { queries: { retry: 2, refetchOnWindowFocus: false } } })
